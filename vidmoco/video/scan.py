"""Scan folders: probe every video file, in processes that a bad file may kill."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.console import say
from vidmoco.content import content_of
from vidmoco.cores import num_cores
from vidmoco.errors import ConfigError
from vidmoco.progress import ProgressBar
from vidmoco.urls import is_there, is_url, url_of
from vidmoco.video.catalog import Catalog
from vidmoco.video.files import FoundFile, find_videos, look_at
from vidmoco.video.info import VideoInfo
from vidmoco.video.other_files import others_line, pictures_line
from vidmoco.video.probe import ProbeJob, build_probe, refused
from vidmoco.workers.pool import Report, WorkerPool

# assumption: starting a process takes as long as probing this many files.
_FILES_PER_PROCESS = 16


def scan_videos(
    sources: Sequence[Path],
    *,
    previous: Catalog | None = None,
    workers: int | None = None,
    progress: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> Catalog:
    """Return the catalog of all videos in some folders, or of single files.

    Args:
        sources: folders, which are searched for video files, and files of any name.
        previous: an earlier catalog. Files whose size and time have not changed are not probed
            again, except those that a different limit refused. Where another file may have been put
            in their place with the same size and time, the content decides.
        workers: number of processes. None means one per core.
        progress: show a bar on stderr, if that is a terminal.
        limits: limits on videos, and whether links out of the folders are followed.

    Raises:
        ConfigError: a source does not exist, or a folder has no video file.
    """
    jobs: list[ProbeJob] = []
    rows: list[VideoInfo] = []
    reused: list[int] = []
    known = _index(previous, limits)
    states = [] if previous is None else _states_of(previous)
    others: Counter[str] = Counter()
    for root, found in listed_files(sources, follow_links=limits.follow_links, others=others):
        index = known.get((str(root), found.key))
        if found.problem:
            rows.append(refused(found, root=root, reason=found.problem))
        elif index is None or previous is None:
            jobs.append(ProbeJob(root, found))
        elif states[index] == (found.num_bytes, found.mtime_ns, found.ctime_ns):
            reused.append(index)
        elif (
            states[index][:2] == (found.num_bytes, found.mtime_ns)
            and (row := same_content(previous[index], found)) is not None
        ):
            rows.append(row)
        else:
            jobs.append(ProbeJob(root, found))
    is_main = os.environ.get("RANK", "0") == "0"
    if progress and is_main and (line := others_line(others)):
        say(Console(stderr=True), line)
    console = Console(stderr=True, quiet=not (progress and jobs))
    with ProgressBar(console, "scan", total=len(jobs)) as bar:
        rows += bar.track(_probe_all(jobs, workers=workers or num_cores(), limits=limits))
    unchanged = [previous.take(reused)] if previous is not None else []
    return Catalog.merge([*unchanged, Catalog.from_rows(rows)])


def _states_of(catalog: Catalog) -> list[tuple[int, int, int]]:
    """Return size, time of change and time of status of each row."""
    names = ("num_bytes", "mtime_ns", "ctime_ns")
    return list(zip(*(catalog.column(name).tolist() for name in names), strict=True))


def same_content(row: VideoInfo, found: FoundFile) -> VideoInfo | None:
    """Return the row for a file as it is now, or None if its content is not that of the row."""
    if not row.mtime_ns or not row.content or row.num_bytes != found.num_bytes:
        return None
    row = replace(row, mtime_ns=found.mtime_ns, ctime_ns=found.ctime_ns)
    return row if content_of(row.path) == row.content else None


def _index(previous: Catalog | None, limits: Limits) -> dict[tuple[str, str], int]:
    """Return (root, key) -> index of the earlier rows that the limits do not change."""
    if previous is None:
        return {}
    names = ("root", "key", "limit", "width", "height", "num_frames", "duration_seconds")
    columns = [previous.column(name).tolist() for name in names]
    known = {}
    for index, (root, key, limit, *values) in enumerate(zip(*columns, strict=True)):
        width, height, num_frames, duration = values
        name, _ = limits.problem(
            width=width, height=height, num_frames=num_frames, duration=duration
        )
        if limit == limits.text_of(limit.partition("=")[0]) if limit else not name:
            known[root, key] = index
    return known


def listed_files(
    sources: Sequence[Path], *, follow_links: bool, others: Counter[str] | None = None
) -> Iterator[tuple[Path, FoundFile]]:
    """Yield every video file of the sources, with its root; count the rest in ``others``.

    Raises:
        ConfigError: a source does not exist or cannot be reached, a folder has no video file, or
            its path is not UTF-8, as a catalog must be.
    """
    for source in sources:
        path = Path(os.path.abspath(source))  # noqa: PTH100  (resolve() follows links)
        is_folder = os.path.isdir(path)  # noqa: PTH112  (never raises)
        root = path if is_folder else path.parent
        if os.fsencode(root) != str(root).encode("utf-8", "replace"):
            raise ConfigError(f"{root}: the name of a folder is not valid UTF-8; rename it.")
        if is_folder:
            count, not_read = 0, Counter[str]()
            for found in find_videos(path, follow_links=follow_links, others=not_read):
                if found.key == "./":
                    raise ConfigError(f"{source}: {found.problem}.")
                count += 1
                yield path, found
            if not count:
                there = others_line(not_read) or "nothing"
                raise ConfigError(
                    f"No video file in {source} or its folders. It holds {there}."
                    f"{pictures_line(not_read)}"
                )
            if others is not None:
                others.update(not_read)
        elif os.path.islink(path) or is_there(path):  # noqa: PTH114  (never raises)
            yield root, look_at(path, root=root)
        elif is_url(source):
            raise ConfigError(
                f"{url_of(source)} is a URL, but only local files are read. Download it first."
            )
        else:
            raise ConfigError(f"No such file or folder: {source}.")


def require_videos(sources: Sequence[Path], *, follow_links: bool) -> None:
    """Refuse sources without a video file. Each is searched until the first one.

    Raises:
        ConfigError: a source does not exist, or a folder has no video file.
    """
    for source in sources:
        next(listed_files([source], follow_links=follow_links))


def probe_pool(workers: int, limits: Limits) -> WorkerPool[ProbeJob, VideoInfo]:
    """Return processes that inspect files; ``row_of`` turns their reports into rows."""
    return WorkerPool(
        build_probe,
        (limits,),
        workers=workers,
        max_memory=limits.max_memory,
        max_seconds=limits.max_seconds,
    )


def row_of(report: Report[ProbeJob, VideoInfo], limits: Limits) -> VideoInfo:
    """Return the row of a file, which is refused if its process failed."""
    if report.value is not None:
        return report.value
    limit = limits.text_of(report.limit) if report.limit else ""
    root, found = report.job.root, report.job.found
    # A crash may be due to other programs' use of memory: the next scan tries again.
    keep = bool(limit) or not report.killed
    return refused(found, root=root, reason=report.failure, keep=keep, limit=limit)


def _probe_all(jobs: Sequence[ProbeJob], *, workers: int, limits: Limits) -> Iterator[VideoInfo]:
    """Yield the row of each file, in the order in which they are finished."""
    with probe_pool(min(workers, len(jobs) // _FILES_PER_PROCESS + 1), limits) as pool:
        for report in pool.map(jobs):
            yield row_of(report, limits)
