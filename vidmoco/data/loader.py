"""Batches of uint8 pairs from videos, in an order that is a function of (seed, step).

Processes under limits decode into memory that they share with this process. A video that cannot be
read, or that kills its process, is replaced by a video that is a function of the order too.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator
from itertools import islice

import numpy as np

from vidmoco.cgroup import memory_of_machine
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.cores import num_cores
from vidmoco.data.batches import Batches, PairBatch, Slot
from vidmoco.data.order import Batching, BatchOrder
from vidmoco.data.pair_worker import (
    Results,
    VisitJob,
    build_pair_worker,
    bytes_of_slot,
    read_visit,
)
from vidmoco.data.quarantine import Quarantine
from vidmoco.data.sampling import PairPlan, PairRule
from vidmoco.data.sources import Sources, whole_videos
from vidmoco.errors import ConfigError
from vidmoco.shapes import Float32
from vidmoco.video.catalog import Catalog
from vidmoco.video.readers import Decoder
from vidmoco.workers.pool import Report, WorkerPool
from vidmoco.workers.process import describe

_USUAL_BLOCK = 2 * 2**30  # bytes
# Visits whose times are drawn together: one by one takes ten times as long, with cold caches.
_VISITS_DRAWN = 16
_SECONDS_TO_LISTEN = 0.5  # between two calls of ``stopped``
MAX_WORKERS = 16  # assumption: with more, the training device is the limit and not decoding


def canvas_size(aspect_ratios: Float32[np.ndarray, " n"], *, short_side: int) -> tuple[int, int]:
    """Return the (height, width) that all frames are resized to: the shape of the median video.

    A batch needs one size. Frames of another shape are stretched to it, and crops are drawn in
    their true shape later. So videos of one shape lose nothing. The long side is at most twice the
    short side, which bounds memory.
    """
    aspect = float(np.median(aspect_ratios).clip(0.5, 2.0))
    if aspect >= 1:
        return short_side, round(short_side * aspect)
    return round(short_side / aspect), short_side


def default_workers() -> int:
    """Return the default number of worker processes: one per core, at most 16."""
    return min(num_cores(), MAX_WORKERS)


def cut_batches(
    *,
    num_sources: int,
    batch_size: int,
    canvas: tuple[int, int],
    pairs_per_visit: int,
    block_gib: float | None,
    frames_per_video: int = 2,
    positions: range | None = None,
) -> Batching:
    """Return how the pairs of an epoch are cut into batches and blocks.

    Args:
        num_sources: number of sources.
        batch_size: pairs in a batch, each from a different source where there are as many.
        canvas: (height, width) of the frames.
        pairs_per_visit: pairs that are read from a video at once, each for another batch.
        block_gib: memory for the pairs of a block, in GiB, over all processes. Larger blocks mix
            videos better. None means 2, or more where a batch needs it.
        frames_per_video: frames of a "pair", which may be more than 2.
        positions: the positions of each batch that this process reads. None means all.

    Raises:
        ConfigError: there is too little memory for a block.
    """
    own = pairs_per_visit * len(positions or range(batch_size))
    own_bytes, installed = own * bytes_of_slot(frames_per_video, canvas), memory_of_machine()
    if own_bytes > installed:
        raise ConfigError(
            f"Batches of {batch_size:,} need {own_bytes / 2**30:,.0f} GiB for frames, and this "
            f"machine has {installed / 2**30:,.0f} GiB of memory. Give a smaller --batch-size, "
            "--data.short-side or --data.pairs-per-visit."
        )
    if pairs_per_visit == 1:
        return Batching(num_sources=num_sources, batch_size=batch_size, positions=positions)
    needed = pairs_per_visit * batch_size * bytes_of_slot(frames_per_video, canvas)
    given = max(_USUAL_BLOCK, needed) if block_gib is None else block_gib * 2**30
    block_batches = int(given / needed)
    if block_batches < 1:
        raise ConfigError(
            f"--data.pairs-per-visit {pairs_per_visit} with batches of {batch_size} and frames of "
            f"{canvas[1]}x{canvas[0]} needs {needed / 2**30:.3g} GiB of memory, but "
            f"--data.block-gib is {block_gib:g}. Give a larger one, or fewer pairs per visit."
        )
    return Batching(
        num_sources=num_sources,
        batch_size=batch_size,
        pairs_per_visit=pairs_per_visit,
        block_batches=block_batches,
        positions=positions,
    )


def load_pairs(
    catalog: Catalog,
    batching: Batching,
    *,
    rule: PairRule,
    seed: int,
    canvas: tuple[int, int],
    steps: range,
    workers: int,
    sources: Sources | None = None,
    limits: Limits = DEFAULT_LIMITS,
    quarantine: Quarantine | None = None,
    decoder: Decoder = "auto",
    pin_memory: bool = False,
    stopped: Callable[[], bool] = bool,
) -> Generator[PairBatch]:
    """Yield the batches of consecutive steps of a run, restricted to the positions of ``batching``.

    Args:
        catalog: readable videos.
        batching: how they are cut into batches, from ``cut_batches``.
        rule: how the times of a pair are drawn.
        seed: seed of the order and of the times.
        canvas: (height, width) of the frames.
        steps: the steps of the run.
        workers: number of processes. With 0 this process decodes, by PyAV only and unprotected.
        sources: what the batches are of. None means whole videos.
        limits: limits on videos and processes.
        quarantine: videos that killed a process. A run keeps them for its resume.
        decoder: which decoder reads which video (see ``build_fast_reader``).
        pin_memory: put frames into pinned memory, from which CUDA copies asynchronously.
        stopped: called while waiting for a batch. The iteration ends when it returns true.

    Raises:
        VideoError: a video and all its replacements cannot be read.
    """
    decoder = settled(decoder, catalog)
    if sources is None:
        sources = whole_videos(catalog.column("duration_seconds"))
    order = BatchOrder(batching, seed=seed)
    batches = Batches(
        catalog,
        PairPlan(order, sources, rule=rule, seed=seed),
        canvas=canvas,
        quarantine=Quarantine() if quarantine is None else quarantine,
        pin_memory=pin_memory,
    )
    if workers == 0:
        visits_left = batches.visits(steps)
        for step in steps:
            while not batches.is_ready(step):
                _read_here(batches, next(visits_left), limits)
            yield batches.take(step)
        return
    with _Feeder(batches, steps, workers=workers, limits=limits, decoder=decoder) as feeder:
        for step in steps:
            while (batch := feeder.take(step, timeout=_SECONDS_TO_LISTEN)) is None:
                if stopped():
                    return
            yield batch


def settled(decoder: Decoder, catalog: Catalog) -> Decoder:
    """Return ``decoder``, but ``pyav`` for ``auto`` if decord would read none of the videos.

    Loading decord costs each process 250 MB and a second (measured).
    """
    by_decord = (catalog.column("route") == "decord") & (catalog.column("codec") != "h264")
    return "pyav" if decoder == "auto" and not by_decord.any() else decoder


def _read_here(batches: Batches, visit: list[Slot], limits: Limits) -> None:
    to_read = deque([visit])
    while to_read:
        for slots in batches.settle(to_read.popleft()):
            try:
                results = read_visit(batches.job(slots), batches.pixels, limits)
            except Exception as error:  # as in a worker: a bad file must not stop the others
                again = batches.fail(slots, describe(error), killed=False)
            else:
                again = batches.finish(slots, results)
            to_read += [[slot] for slot in again]


class _Feeder:
    """A thread that gives jobs to processes while the main thread trains."""

    def __init__(
        self, batches: Batches, steps: range, *, workers: int, limits: Limits, decoder: Decoder
    ) -> None:
        self._batches, self._limits, self._decoder = batches, limits, decoder
        self._visits = batches.visits(steps)
        self._to_read: deque[list[Slot]] = deque()
        self._being_read: dict[int, list[Slot]] = {}
        self._workers = workers
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._stopped = False
        self._wake_reader, self._wake_writer = os.pipe()
        self._thread = threading.Thread(target=self._run, name="load pairs", daemon=True)

    def __enter__(self) -> "_Feeder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._wake()
        self._thread.join()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def take(self, step: int, *, timeout: float) -> PairBatch | None:
        """Return the batch of a step, or None if it is not ready after ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or self._batches.is_ready(step), timeout)
            if self._error is not None:
                raise self._error
            if not self._batches.is_ready(step):
                return None
            batch = self._batches.take(step)
        self._wake()
        return batch

    def _wake(self) -> None:
        os.write(self._wake_writer, b".")

    def _run(self) -> None:
        try:
            with self._pool() as pool:
                while not self._stopped:
                    with self._changed:
                        self._give_jobs(pool)
                    reports = pool.wait(self._wake_reader)
                    with self._changed:
                        for report in reports:
                            self._store(report)
                        self._changed.notify_all()
                    if not reports:
                        os.read(self._wake_reader, 4096)
        except BaseException as error:  # take() raises it in the main thread
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _pool(self) -> WorkerPool[VisitJob, Results]:
        batches = self._batches
        return WorkerPool(
            build_pair_worker,
            (
                batches.buffer,
                batches.frames_per_video,
                batches.canvas,
                self._limits,
                self._decoder,
            ),
            workers=self._workers,
            max_memory=self._limits.max_memory,
            max_seconds=self._limits.max_seconds,
            with_torch=True,
        )

    def _give_jobs(self, pool: WorkerPool[VisitJob, Results]) -> None:
        """Give jobs while there is room: first pairs to read again, then the next visits."""
        while pool.room > 0:
            if not self._to_read:
                self._to_read.extend(islice(self._visits, _VISITS_DRAWN))
            if not self._to_read:
                return
            first, *others = self._batches.settle(self._to_read.popleft())
            self._to_read.extendleft(reversed(others))
            if not self._batches.has_room(first):
                self._to_read.appendleft(first)
                return
            job = self._batches.job(first)
            self._being_read[job.number] = first
            pool.give(job)

    def _store(self, report: Report[VisitJob, Results]) -> None:
        slots = self._being_read.pop(report.job.number)
        if report.value is not None:
            again = self._batches.finish(slots, report.value)
        else:
            killed = report.killed or bool(report.limit)
            again = self._batches.fail(slots, report.failure, killed=killed)
        self._to_read.extendleft([slot] for slot in reversed(again))
