"""Scan folders: probe every video file, in processes that a bad file may kill."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.cores import num_cores
from vidmoco.errors import ConfigError
from vidmoco.progress import ProgressBar
from vidmoco.urls import is_url, url_of
from vidmoco.video.catalog import Catalog
from vidmoco.video.files import VIDEO_SUFFIXES, find_videos, look_at
from vidmoco.video.info import VideoInfo
from vidmoco.video.probe import ProbeJob, build_probe, refused
from vidmoco.workers.pool import WorkerPool

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
            again, except those that a different limit refused.
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
    for job in _listed(sources, follow_links=limits.follow_links):
        root, found = job.root, job.found
        index, size, mtime_ns = known.get((str(root), found.key), (-1, -1, -1))
        if found.problem:
            rows.append(refused(found, root=root, reason=found.problem))
        elif (size, mtime_ns) == (found.num_bytes, found.mtime_ns):
            reused.append(index)
        else:
            jobs.append(job)
    console = Console(stderr=True, quiet=not (progress and jobs))
    with ProgressBar(console, "scan", total=len(jobs)) as bar:
        rows += bar.track(_probe_all(jobs, workers=workers or num_cores(), limits=limits))
    unchanged = [previous.take(reused)] if previous is not None else []
    return Catalog.merge([*unchanged, Catalog.from_rows(rows)])


def _index(previous: Catalog | None, limits: Limits) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Return (root, key) -> (row, size, time) of the earlier rows that the limits do not change."""
    if previous is None:
        return {}
    names = ("root", "key", "num_bytes", "mtime_ns", "limit")
    facts = ("width", "height", "num_frames", "duration_seconds")
    columns = [previous.column(name).tolist() for name in (*names, *facts)]
    known = {}
    for row, (root, key, size, time, limit, *values) in enumerate(zip(*columns, strict=True)):
        width, height, num_frames, duration = values
        name, _ = limits.problem(
            width=width, height=height, num_frames=num_frames, duration=duration
        )
        if limit == limits.text_of(limit.partition("=")[0]) if limit else not name:
            known[root, key] = (row, size, time)
    return known


def _listed(sources: Sequence[Path], *, follow_links: bool) -> Iterator[ProbeJob]:
    """Yield every file of the sources."""
    for source in sources:
        path = Path(os.path.abspath(source))  # noqa: PTH100  (resolve() follows links)
        if path.is_dir():
            count = 0
            for found in find_videos(path, follow_links=follow_links):
                if found.key == "./":
                    raise ConfigError(f"{source}: {found.problem}.")
                count += 1
                yield ProbeJob(path, found)
            if not count:
                suffixes = " ".join(sorted(VIDEO_SUFFIXES))
                raise ConfigError(f"No video file in {source} (looked for {suffixes}).")
        elif path.exists() or path.is_symlink():
            yield ProbeJob(path.parent, look_at(path, root=path.parent))
        elif is_url(source):
            raise ConfigError(
                f"{url_of(source)} is a URL, but only local files are read. Download it first."
            )
        else:
            raise ConfigError(f"No such file or folder: {source}.")


def _probe_all(jobs: Sequence[ProbeJob], *, workers: int, limits: Limits) -> Iterator[VideoInfo]:
    """Yield the row of each file, in the order in which they are finished."""
    pool = WorkerPool[ProbeJob, VideoInfo](
        build_probe,
        (limits,),
        workers=min(workers, len(jobs) // _FILES_PER_PROCESS + 1),
        max_memory=limits.max_memory,
        max_seconds=limits.seconds_of_silence,
    )
    with pool:
        for report in pool.map(jobs):
            if report.value is not None:
                yield report.value
            else:
                limit = limits.text_of(report.limit) if report.limit else ""
                root, found = report.job.root, report.job.found
                # A crash may be due to other programs' use of memory: the next scan tries again.
                keep = bool(limit) or not report.killed
                yield refused(found, root=root, reason=report.failure, keep=keep, limit=limit)
