"""``extract --engine ray``: workers on a Ray cluster, watched by the process of the command.

A worker is an actor. It does what a process does that is given the same command, so videos are
shared by claims, and what is written is its own record. The driver only starts workers, replaces
dead ones, and counts.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

import vidmoco
from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.config.extract import ExtractCommand
from vidmoco.console import say
from vidmoco.errors import ConfigError, VideoError
from vidmoco.features.claims import Worker
from vidmoco.features.dataset_part import Columns
from vidmoco.features.extract_many import Result
from vidmoco.features.extraction import Extraction
from vidmoco.features.ray_cluster import Lifelines, cluster, nodes
from vidmoco.features.ray_resources import Share, share_of
from vidmoco.features.ray_worker import Job
from vidmoco.text import reason_of
from vidmoco.urls import expanded, is_url

_FRUITLESS = 3
"""Workers that may die one after the other, for each one that there is, without a finished video
between them."""
_BETWEEN_LOOKS = 1.0  # seconds, after which it is asked whether Ray itself is there
_PATIENCE = 30.0  # seconds until the user is told that no worker has begun
_GRACE = 10.0  # seconds for a worker to end the video that it is at, and to write what it has


def extract_on_ray(
    frozen: FrozenBackbone,
    todo: Sequence[Extraction],
    worker: Worker,
    command: ExtractCommand,
    labels: Columns,
    console: Console,
) -> Generator[Result, None, None]:
    """Yield each video when it has come to its end, as ``extract_many`` does.

    Args:
        frozen: the backbone, on the CPU.
        todo: videos that are not finished.
        worker: this process, which has begun the output.
        command: the settings.
        labels: the columns that --labels adds.
        console: shows messages about workers.

    Raises:
        ConfigError: there is no such cluster, or a worker cannot go on.
    """
    if not todo:
        return
    with cluster(command.ray_address) as lifelines:
        share = share_of(nodes(), command, num_videos=len(todo))
        say(console, f"Ray workers: {share}")
        job = _job(frozen, todo, worker, command, labels, share)
        with _Workers(job, share, worker, lifelines) as workers:
            left = dict(enumerate(todo))
            for report in workers.reports(console):
                one = left.pop(report["video"], None)
                if one is None:  # its worker died before others could see the rows
                    continue
                if "reason" in report:
                    yield one, VideoError(report["reason"]), ()
                else:
                    yield one, report["rows"], report["damage"]
    for one in left.values():
        yield one, None, ()


def _job(
    frozen: FrozenBackbone,
    todo: Sequence[Extraction],
    worker: Worker,
    command: ExtractCommand,
    labels: Columns,
    share: Share,
) -> Job:
    """Return what workers are given: paths are absolute, as each has a folder of its own."""
    output = command.output
    if not is_url(output):
        output = expanded(output).absolute()
        todo = [replace(one, output=one.output.absolute()) for one in todo]
    paths = (one.video.path for one in todo if not one.url)
    sample = next((str(path) for path in paths if path.exists()), "")
    command = replace(command, output=output, workers=share.decoders)
    return Job(frozen, list(todo), command, labels, worker.id, sample)


class _Workers:
    """Actors that work on one job."""

    def __init__(self, job: Job, share: Share, driver: Worker, lifelines: Lifelines) -> None:
        import ray

        self._share, self._driver, self._num_videos = share, driver, len(job.todo)
        self._lifelines = lifelines
        self._job = ray.put(job)
        self._actor = ray.remote(_actor_class())
        self._running: dict[Any, Any] = {}  # the actor of each stream of reports
        self._ids: dict[Any, str] = {}  # the worker's id of each that has begun
        self._num_started = 0

    def __enter__(self) -> "_Workers":
        for _ in range(self._share.num_workers):
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        if self._lifelines.are_cut:  # any call may end this process, and workers end by themselves
            return
        at_work = [stream for stream in self._running if stream in self._ids]
        try:
            for stream in at_work:
                self._running[stream].stop.remote()
            if at_work:
                ended = [stream.completed() for stream in at_work]
                ray.wait(ended, num_returns=len(ended), timeout=_GRACE)
        finally:
            for stream in list(self._running):
                self._end(stream)

    def _start(self) -> None:
        actor = self._actor.options(
            num_cpus=self._share.cpus,
            num_gpus=self._share.gpus,
            max_concurrency=2,  # it works, and may be told to stop
        ).remote()
        # Each begins elsewhere, so that they do not ask for the same videos.
        start = self._num_started * self._num_videos // self._share.num_workers % self._num_videos
        stream = actor.work.options(num_returns="streaming").remote(
            vidmoco.__version__, [self._job], start
        )
        self._running[stream] = actor
        self._num_started += 1

    def _end(self, stream: Any) -> None:
        import ray

        ray.kill(self._running.pop(stream))
        if stream in self._ids:  # what it had is free at once, also if it ran on another machine
            self._driver.declare_dead(self._ids.pop(stream))

    def reports(self, console: Console) -> Iterator[dict[str, Any]]:
        """Yield what workers say of videos, until all are done.

        Raises:
            ConfigError: a worker cannot go on, or none stays alive, or Ray has ended.
        """
        import ray
        from ray.exceptions import OutOfMemoryError, RayActorError

        deaths, is_told, began = 0, False, time.monotonic()
        while self._running:
            ready, _ = ray.wait(list(self._running), timeout=_BETWEEN_LOOKS)
            self._lifelines.require()
            if not ready:
                if not (self._ids or is_told) and time.monotonic() - began > _PATIENCE:
                    say(console, "Waiting for Ray to start workers: the cluster may have no room.")
                    is_told = True
                continue
            stream: Any = ready[0]
            try:
                report: Any = ray.get(next(stream))
            except StopIteration:
                # All videos are done, and none is left for a worker that has not begun.
                self._end(stream)
                for other in [one for one in self._running if one not in self._ids]:
                    self._end(other)
                continue
            except (RayActorError, OutOfMemoryError) as error:
                self._end(stream)
                deaths += 1
                reason = reason_of(error)
                if deaths > _FRUITLESS * self._share.num_workers:
                    raise ConfigError(
                        f"{deaths} Ray workers have ended one after the other: {reason} Finished "
                        "videos are kept."
                    ) from error
                say(console, f"A Ray worker has ended, and another takes its place: {reason}")
                self._start()
                continue
            if "error" in report:
                raise ConfigError(f"A Ray worker on {report['error']}")
            if "worker" in report:
                self._ids[stream] = report["worker"]
                continue
            deaths = 0
            yield report


def _actor_class() -> type[Any]:
    """Return the class of a worker.

    Ray sends it with its code, as it is no global name. So it runs where another vidmoco is, or
    none.
    """

    class Extractor:
        def __init__(self):  # type: ignore[no-untyped-def]
            import threading

            self.stopped = threading.Event()

        def stop(self):  # type: ignore[no-untyped-def]
            self.stopped.set()

        def work(self, version, job, start):  # type: ignore[no-untyped-def]
            import socket

            import ray

            try:
                import vidmoco

                there = f"vidmoco {vidmoco.__version__}"
            except ImportError:
                there = "no vidmoco"
            if there != f"vidmoco {version}":
                yield {
                    "error": f"{socket.gethostname()} has {there}, and the command is of "
                    f"vidmoco {version}. "
                    "Install the same version on all nodes."
                }
                return
            from vidmoco.ahead import load_libraries

            load_libraries()
            from vidmoco.features.ray_worker import work

            yield from work(ray.get(job[0]), start, self.stopped)

    return Extractor
