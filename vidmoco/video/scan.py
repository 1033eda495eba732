"""Scan: look at every video file of some folders, each in a process that may die of it."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vidmoco.cores import num_cores
from vidmoco.errors import ConfigError, VidmocoError
from vidmoco.video.files import VIDEO_SUFFIXES, FoundFile, find_videos, look_at
from vidmoco.video.info import VideoInfo
from vidmoco.video.probe import refused, serve
from vidmoco.video.table import Catalog

# assumption: starting a process takes as long as probing so many files.
_FILES_PER_PROCESS = 16

_Job = tuple[Path, FoundFile]  # the root of the key, and the file


def scan_videos(
    sources: Sequence[Path],
    *,
    previous: Catalog | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Catalog:
    """Return the catalog of all videos in some folders, or of single files.

    Args:
        sources: folders, which are searched for video files, and files of any name.
        previous: an earlier catalog; files of unchanged size and time are not looked at again.
        workers: processes that look at files; None: one a core.
        progress: show a bar on stderr, where that is a terminal.

    Raises:
        ConfigError: a source does not exist, or a folder holds no video file.
    """
    jobs: list[_Job] = []
    rows: list[VideoInfo] = []
    reused: list[int] = []
    known = _index(previous)
    for root, found in _listed(sources):
        index, size, mtime_ns = known.get((str(root), found.key), (-1, -1, -1))
        if found.problem:
            rows.append(refused(found, root=root, reason=found.problem))
        elif (size, mtime_ns) == (found.num_bytes, found.mtime_ns):
            reused.append(index)
        else:
            jobs.append((root, found))
    with _bar(shown=progress and bool(jobs)) as bar:
        task = bar.add_task("scan", total=len(jobs))
        for info in _probe_all(jobs, workers=workers or num_cores()):
            rows.append(info)
            bar.advance(task)
    unchanged = [previous.take(reused)] if previous is not None else []
    return Catalog.merge([*unchanged, Catalog.from_rows(rows)])


def _index(previous: Catalog | None) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Return (root, key) -> (row, size, time) of an earlier catalog."""
    if previous is None:
        return {}
    columns = (previous.column(name).tolist() for name in ("root", "key", "num_bytes", "mtime_ns"))
    return {
        (root, key): (row, size, time)
        for row, (root, key, size, time) in enumerate(zip(*columns, strict=True))
    }


def _listed(sources: Sequence[Path]) -> Iterator[_Job]:
    """Yield every file of the sources."""
    for source in sources:
        path = Path(os.path.abspath(source))  # noqa: PTH100  (resolve() follows links)
        if path.is_dir():
            count = 0
            for found in find_videos(path):
                if found.key == "./":
                    raise ConfigError(f"{source}: {found.problem}.")
                count += 1
                yield path, found
            if not count:
                suffixes = " ".join(sorted(VIDEO_SUFFIXES))
                raise ConfigError(f"No video file in {source} (looked for {suffixes}).")
        elif path.exists() or path.is_symlink():
            yield path.parent, look_at(path, root=path.parent)
        else:
            raise ConfigError(f"No such file or folder: {source}.")


def _bar(*, shown: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )


class _Worker:
    """A process that probes one file at a time."""

    def __init__(self, context: SpawnContext) -> None:
        self.connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other,), daemon=True)
        self.process.start()
        other.close()
        self.started = False
        self.job: _Job | None = None

    def give(self, job: _Job) -> None:
        root, found = job
        self.job = job
        self.connection.send((root / found.key, root))

    def stop(self) -> None:
        self.connection.close()  # serve() returns
        self.process.join()

    def died_of(self) -> VideoInfo:
        """Return the row of the file that this process did not survive."""
        self.process.join()
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if not self.started or self.job is None:
            raise VidmocoError(
                f"The processes that look at videos do not start ({how}). In a script, call "
                'vidmoco under `if __name__ == "__main__":`.'
            )
        root, found = self.job
        return refused(found, root=root, reason=f"its decoder crashed ({how})", keep=True)


def _probe_all(jobs: Sequence[_Job], *, workers: int) -> Iterator[VideoInfo]:
    """Yield the row of each file, in the order in which they are done."""
    context = multiprocessing.get_context("spawn")
    waiting = deque(jobs)
    needed = -(-len(jobs) // _FILES_PER_PROCESS)
    pool: list[_Worker] = []
    try:
        pool += [_Worker(context) for _ in range(min(workers, needed))]
        while pool:
            # The end of a process makes its pipe ready too. A limit of time per file belongs here.
            ready = wait([worker.connection for worker in pool])
            for worker in [worker for worker in pool if worker.connection in ready]:
                try:
                    info = worker.connection.recv()
                except (EOFError, OSError):
                    pool.remove(worker)
                    yield worker.died_of()
                    if waiting:
                        pool.append(_Worker(context))
                    continue
                worker.started = True
                if info is not None:
                    worker.job = None
                    yield info
                if waiting:
                    worker.give(waiting.popleft())
                else:
                    pool.remove(worker)
                    worker.stop()
    finally:
        for worker in pool:  # an interrupt or an error
            worker.process.kill()
            worker.stop()
