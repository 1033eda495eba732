"""Moments to batches of uint8 pairs, in an order that is a function of (seed, epoch, index).

Processes decode, each under limits, into memory that they share with this one. A video that cannot
be read, or that its process dies of, is replaced by a stand-in that the order decides.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from types import TracebackType

import numpy as np

from vidmoco.cores import num_cores
from vidmoco.errors import ConfigError
from vidmoco.video.batches import BATCHES_AHEAD, Batches, PairBatch, Slot
from vidmoco.video.catalog import Catalog
from vidmoco.video.limits import DEFAULT_LIMITS, Limits
from vidmoco.video.pair_worker import PairJob, Pts, build_pair_worker, read_pair
from vidmoco.video.quarantine import Quarantine
from vidmoco.video.sampling import PairPlan, PairRule, steps_per_epoch
from vidmoco.video.worker_process import describe
from vidmoco.video.workers import Report, WorkerPool

_SECONDS_TO_LISTEN = 0.5  # between two questions whether to stop
MAX_WORKERS = 16  # assumption: beyond it the training device, not decoding, is the limit


def canvas_size(catalog: Catalog, *, short_side: int) -> tuple[int, int]:
    """Return the (height, width) that all frames are resized to: the shape of the median video.

    A batch needs one size. Frames of another shape are squeezed into it and cropped in their true
    shape later, so a collection of one shape loses nothing. The longer side is at most twice the
    shorter one, which bounds memory.
    """
    widths, heights, pixel_aspects = (
        catalog.column(name) for name in ("width", "height", "sample_aspect_ratio")
    )
    aspect = float(np.median(widths * pixel_aspects / heights).clip(0.5, 2.0))
    if aspect >= 1:
        return short_side, round(short_side * aspect)
    return round(short_side / aspect), short_side


def default_workers() -> int:
    """Return the number of worker processes when none is asked for: one a core, at most 16."""
    return min(num_cores(), MAX_WORKERS)


def load_pairs(
    catalog: Catalog,
    *,
    rule: PairRule,
    seed: int,
    batch_size: int,
    canvas: tuple[int, int],
    start_step: int,
    total_steps: int,
    workers: int,
    limits: Limits = DEFAULT_LIMITS,
    quarantine: Quarantine | None = None,
    use_decord: bool = True,
    pin_memory: bool = False,
    stopped: Callable[[], bool] = bool,
) -> Generator[PairBatch]:
    """Yield the batches of steps ``start_step`` to ``total_steps`` of a run.

    Args:
        catalog: readable videos.
        rule: how the times of a pair are drawn.
        seed: of the order and of the times.
        batch_size: pairs in a batch, each from another video.
        canvas: (height, width) of the frames.
        start_step: the first batch.
        total_steps: one more than the last.
        workers: processes; 0: this one decodes, by PyAV alone, with nothing to protect it.
        limits: what a video may be and cost.
        quarantine: videos that processes have died of; a run keeps it for its resume.
        use_decord: let decord read what is routed to it; else PyAV reads all, the same frames.
        pin_memory: give the frames in memory from which CUDA copies without waiting.
        stopped: asked while a batch is waited for; True ends the iteration.

    Raises:
        ConfigError: the batch is larger than the number of readable videos.
        VideoError: a video and all its stand-ins cannot be read.
    """
    if steps_per_epoch(num_videos=len(catalog), batch_size=batch_size) == 0:
        raise ConfigError(
            f"--data.batch-size is {batch_size}, and there are {len(catalog)} readable videos; a "
            f"batch takes each video once. Give --data.batch-size {max(len(catalog), 2)} or less, "
            "or more videos."
        )
    plan = PairPlan(catalog.column("duration_seconds"), rule=rule, seed=seed, batch_size=batch_size)
    batches = Batches(
        catalog,
        plan,
        batch_size=batch_size,
        canvas=canvas,
        quarantine=Quarantine() if quarantine is None else quarantine,
        pin_memory=pin_memory,
    )
    steps = range(start_step, total_steps)
    if workers == 0:
        for step in steps:
            for slot in batches.begin(step):
                while not slot.done:
                    _read_here(batches, slot, limits)
            yield batches.take(step)
        return
    with _Feeder(batches, steps, workers=workers, limits=limits, use_decord=use_decord) as feeder:
        for _ in steps:
            while (batch := feeder.take(timeout=_SECONDS_TO_LISTEN)) is None:
                if stopped():
                    return
            yield batch


def _read_here(batches: Batches, slot: Slot, limits: Limits) -> None:
    try:
        batches.finish(slot, read_pair(batches.job(slot), batches.pixels, limits))
    except Exception as error:  # as in a worker: whatever a file does, others are read
        batches.fail(slot, describe(error), killed=False)


class _Feeder:
    """A thread that keeps processes at work while this one trains."""

    def __init__(
        self, batches: Batches, steps: range, *, workers: int, limits: Limits, use_decord: bool
    ) -> None:
        self._batches, self._limits, self._use_decord = batches, limits, use_decord
        self._to_begin = iter(steps)
        self._to_take = deque[int]()
        self._slots: dict[int, Slot] = {}
        self._to_read: deque[Slot] = deque()
        self._workers = workers
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._stopped = False
        self._bell, self._rope = os.pipe()
        self._thread = threading.Thread(target=self._run, name="load pairs", daemon=True)

    def __enter__(self) -> "_Feeder":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped = True
        self._ring()
        self._thread.join()
        os.close(self._bell)
        os.close(self._rope)

    def take(self, *, timeout: float) -> PairBatch | None:
        """Return the next batch, or None when it is not there after so many seconds."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._error or (self._to_take and self._batches.is_ready(self._to_take[0])),
                timeout,
            )
            if self._error is not None:
                raise self._error
            if not self._to_take or not self._batches.is_ready(self._to_take[0]):
                return None
            batch = self._batches.take(self._to_take.popleft())
        self._ring()
        return batch

    def _ring(self) -> None:
        os.write(self._rope, b".")

    def _run(self) -> None:
        try:
            with self._pool() as pool:
                while not self._stopped:
                    with self._changed:
                        self._give(pool)
                    reports = pool.wait(self._bell)
                    with self._changed:
                        for report in reports:
                            self._note(report)
                        self._changed.notify_all()
                    if not reports:
                        os.read(self._bell, 4096)
        except BaseException as error:  # raised where the batches are taken
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _pool(self) -> WorkerPool[PairJob, Pts]:
        batches = self._batches
        return WorkerPool(
            build_pair_worker,
            (batches.buffer, batches.canvas, self._limits, self._use_decord),
            workers=self._workers,
            max_memory=self._limits.max_memory,
            max_seconds=self._limits.seconds_of_silence,
        )

    def _give(self, pool: WorkerPool[PairJob, Pts]) -> None:
        """Give jobs while there is room: first what must be read again, then the next batch."""
        while pool.room > 0:
            if not self._to_read and len(self._to_take) < BATCHES_AHEAD:
                with suppress(StopIteration):
                    step = next(self._to_begin)
                    self._to_read += self._batches.begin(step)
                    self._to_take.append(step)
            if not self._to_read:
                return
            slot = self._to_read.popleft()
            self._slots[slot.number] = slot
            pool.give(self._batches.job(slot))

    def _note(self, report: Report[PairJob, Pts]) -> None:
        slot = self._slots.pop(report.job.slot)
        if report.value is not None:
            again = [] if self._batches.finish(slot, report.value) else [slot]
        else:
            killed = report.killed or bool(report.limit)
            again = self._batches.fail(slot, report.failure, killed=killed)
        self._to_read.extendleft(reversed(again))
