"""The batches of pairs that are being read: their order and memory, but no processes."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vidmoco.data.order import Batching, Place
from vidmoco.data.pair_worker import PairSlot, Pts, Results, VisitJob, bytes_of_slot, slots_of
from vidmoco.data.quarantine import Quarantine
from vidmoco.data.sampling import Moment, PairPlan
from vidmoco.errors import VideoError
from vidmoco.shapes import Float, Float64, Int64, UInt8
from vidmoco.video.catalog import Catalog
from vidmoco.workers.shared_buffer import SharedBuffer

# Batches in memory besides those of a block: one that is being taken, and one that is begun.
BATCHES_AHEAD = 2


@dataclass(frozen=True)
class PairBatch:
    """A batch of pairs. Frames are stretched to the canvas; ``aspect_ratios`` are the true ones."""

    frames: UInt8[Tensor, "n f 3 h w"]
    aspect_ratios: Float[Tensor, " n"]  # displayed width / height of each video
    source_ids: Int64[Tensor, " n"]  # the source of each pair
    rows: Int64[Tensor, " n"]  # the video of each, a row of the catalog
    starts: Float64[Tensor, " n"]  # when its source begins in the video, in seconds
    pts_seconds: Float64[Tensor, "n f"]  # times of the frames, from the first of the video
    failures: list[tuple[int, str]]  # rows of videos that could not be read, with reasons

    @property
    def source_seconds(self) -> Float64[Tensor, "n f"]:
        """When the frames begin to be shown, in seconds from the start of their source."""
        return (self.pts_seconds - self.starts[:, None]).clamp(min=0)


@dataclass
class Slot:
    """A pair that is being read. Its ``number`` is its place in memory, once it has one."""

    place: Place
    moments: Iterator[Moment]
    moment: Moment
    number: int | None = None
    failures: list[tuple[int, str]] = field(default_factory=list)
    pts: Pts = ()
    done: bool = False


def slots_needed(batching: Batching) -> int:
    """Return the number of pairs that are in memory at once."""
    batches = batching.pairs_per_visit * batching.largest_block + BATCHES_AHEAD
    return batches * len(batching.positions)


class Batches:
    """The batches that are being read, and the memory that they are read into."""

    def __init__(
        self,
        catalog: Catalog,
        plan: PairPlan,
        *,
        canvas: tuple[int, int],
        quarantine: Quarantine,
        pin_memory: bool,
    ) -> None:
        self._catalog, self._plan = catalog, plan
        self._num_pairs = len(plan.order.batching.positions)
        self._quarantine, self._pin_memory = quarantine, pin_memory
        self._aspect_ratios = catalog.aspect_ratios()
        self._under_way: dict[int, list[Slot]] = {}  # by step
        num_slots = slots_needed(plan.order.batching)
        self._free = list(range(num_slots))
        self._num_jobs = 0
        self.canvas = canvas
        self.frames_per_video = plan.rule.frames
        self.buffer = SharedBuffer(num_slots * bytes_of_slot(self.frames_per_video, canvas))
        self.pixels = slots_of(self.buffer, self.frames_per_video, canvas)

    def visits(self, steps: range) -> Iterator[list[Slot]]:
        """Yield the pairs of the batches of ``steps``, grouped into visits."""
        for places in self._plan.order.visits(steps):
            slots = []
            for place in places:
                moments = self._plan.moments(place)
                slots.append(Slot(place, moments, next(moments)))
                self._under_way.setdefault(place.step, []).append(slots[-1])
            yield slots

    def settle(self, slots: list[Slot]) -> list[list[Slot]]:
        """Group pairs into visits of one video each, after replacing quarantined videos."""
        visits: dict[int, list[Slot]] = {}
        for slot in slots:
            self._skip_quarantined(slot)
            visits.setdefault(slot.moment.row, []).append(slot)
        return list(visits.values())

    def has_room(self, slots: list[Slot]) -> bool:
        """Return whether there is free memory for the pairs of a visit."""
        return sum(slot.number is None for slot in slots) <= len(self._free)

    def job(self, slots: list[Slot]) -> VisitJob:
        """Return the job of a worker for a visit that ``settle`` returned."""
        pairs = []
        for slot in slots:
            if slot.number is None:
                slot.number = self._free.pop()
            pairs.append(PairSlot(slot.number, slot.moment.times))
        self._num_jobs += 1
        return VisitJob(self._num_jobs, self._catalog[slots[0].moment.row], tuple(pairs))

    def finish(self, slots: list[Slot], results: Results) -> list[Slot]:
        """Store the results of a worker. Return the pairs that need a replacement."""
        again = []
        for slot, result in zip(slots, results, strict=True):
            if isinstance(result, str):
                self._replace(slot, result)
                again.append(slot)
                continue
            slot.pts, slot.done = result, True
            if self._skip_quarantined(slot):
                again.append(slot)
        return again

    def fail(self, slots: list[Slot], reason: str, *, killed: bool) -> list[Slot]:
        """Replace the videos of a failed visit. Return all pairs that must be read again.

        A video that killed a process is skipped from here on. Its later pairs, which may already
        have been read, are dropped too, because a run that resumes here would not have them.
        """
        if not killed:
            for slot in slots:
                self._replace(slot, reason)
            return slots
        row = slots[0].moment.row
        first = min(slot.place for slot in slots)
        self._quarantine.add(row, first, self._catalog[row].key, reason)
        affected = [
            other
            for step in sorted(self._under_way)
            for other in self._under_way[step]
            if other.moment.row == row and (other.done or any(other is slot for slot in slots))
        ]
        return [other for other in affected if self._skip_quarantined(other)]

    def is_ready(self, step: int) -> bool:
        """Return whether all pairs of a batch have been read."""
        slots = self._under_way.get(step, [])
        return len(slots) == self._num_pairs and all(slot.done for slot in slots)

    def take(self, step: int) -> PairBatch:
        """Return a copy of a batch that is ready, and free its memory."""
        slots = sorted(self._under_way.pop(step), key=lambda slot: slot.place)
        numbers = [slot.number for slot in slots if slot.number is not None]
        frames = torch.empty(
            (len(slots), *self.pixels.shape[1:]), dtype=torch.uint8, pin_memory=self._pin_memory
        )
        # NumPy copies with one thread. torch's threads would spin while they wait for each other on
        # cores that decode (measured: up to 7 ms of CPU per pair instead of 0.3).
        np.take(self.pixels.numpy(), numbers, axis=0, out=frames.numpy(), mode="clip")
        self._free += numbers
        sources = [slot.moment.source for slot in slots]
        rows = self._plan.sources.rows[sources]
        return PairBatch(
            frames,
            torch.from_numpy(self._aspect_ratios[rows]),
            torch.tensor(sources),
            torch.from_numpy(rows),
            torch.from_numpy(self._plan.sources.starts[sources]),
            torch.tensor([slot.pts for slot in slots], dtype=torch.float64),
            [failure for slot in slots for failure in slot.failures],
        )

    def _skip_quarantined(self, slot: Slot) -> bool:
        """Replace a quarantined video by the first that is not. Return whether it was needed."""
        skipped = False
        while reason := self._quarantine.reason(slot.moment.row, slot.place):
            self._replace(slot, reason)
            skipped = True
        return skipped

    def _replace(self, slot: Slot, reason: str) -> None:
        slot.done = False
        slot.failures.append((slot.moment.row, reason))
        moment = next(slot.moments, None)
        if moment is None:
            raise VideoError(
                f"None of the {len(slot.failures)} videos tried for one pair could be read. The "
                f"last error: {reason}"
            )
        slot.moment = moment
