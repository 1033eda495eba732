"""The batches of pairs that are under way. Knows the order and the memory, and no process."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vidmoco.errors import VideoError
from vidmoco.shapes import Float, Float64, Int64, UInt8
from vidmoco.video.pair_worker import PairJob, Pts, slots_of
from vidmoco.video.quarantine import Place, Quarantine
from vidmoco.video.sampling import Moment, PairPlan, step_indices
from vidmoco.video.shared_buffer import SharedBuffer
from vidmoco.video.table import Catalog

# Batches in shared memory: one that is taken, one that is filled, one that is begun.
BATCHES_AHEAD = 3


@dataclass(frozen=True)
class PairBatch:
    """A batch of pairs. Frames fill their canvas; ``aspect_ratios`` undoes the distortion."""

    frames: UInt8[Tensor, "n 2 3 h w"]
    aspect_ratios: Float[Tensor, " n"]  # displayed width / height of each video
    source_ids: Int64[Tensor, " n"]  # row of each video in the catalog
    pts_seconds: Float64[Tensor, "n 2"]  # of the frames, from the first of the video
    failures: list[tuple[int, str]]  # rows of videos that could not be read, and why


@dataclass
class Slot:
    """A pair that is being read."""

    number: int
    place: Place
    moments: Iterator[Moment]
    moment: Moment
    failures: list[tuple[int, str]] = field(default_factory=list)
    pts: Pts = (0.0, 0.0)
    done: bool = False


class Batches:
    """The batches that are under way, and the memory that they are read into."""

    def __init__(
        self,
        catalog: Catalog,
        plan: PairPlan,
        *,
        batch_size: int,
        canvas: tuple[int, int],
        quarantine: Quarantine,
        pin_memory: bool,
    ) -> None:
        self._catalog, self._plan, self._batch_size = catalog, plan, batch_size
        self._quarantine, self._pin_memory = quarantine, pin_memory
        self._under_way: dict[int, list[Slot]] = {}
        self.canvas = canvas
        self.buffer = SharedBuffer(BATCHES_AHEAD * batch_size * 2 * 3 * canvas[0] * canvas[1])
        self.pixels = slots_of(self.buffer, canvas)

    def begin(self, step: int) -> list[Slot]:
        """Return the pairs of a batch, each with the moment that is to be read."""
        epoch, indices = step_indices(
            step=step, num_videos=len(self._catalog), batch_size=self._batch_size
        )
        first = step % BATCHES_AHEAD * self._batch_size
        slots = []
        for number, index in enumerate(indices, first):
            moments = self._plan.moments(epoch, index)
            slots.append(Slot(number, Place(epoch, index), moments, next(moments)))
        self._under_way[step] = slots
        return slots

    def job(self, slot: Slot) -> PairJob:
        """Return what a worker must do for a pair."""
        self._skip_quarantined(slot)
        return PairJob(slot.number, self._catalog[slot.moment.row], slot.moment.times)

    def finish(self, slot: Slot, pts: Pts) -> bool:
        """Note that a pair has been read; False: it must be read again, from a stand-in."""
        slot.pts, slot.done = pts, True
        return not self._skip_quarantined(slot)

    def fail(self, slot: Slot, reason: str, *, killed: bool) -> list[Slot]:
        """Go over to the stand-in; return all pairs that must be read again.

        A video that killed a process is read no more from here on. What was read of it further on,
        ahead of time, is dropped too: a run that resumes here would not have it either.
        """
        row = slot.moment.row
        if not killed:
            self._replace(slot, reason)
            return [slot]
        self._quarantine.add(row, slot.place, self._catalog[row].key, reason)
        affected = [
            other
            for slots in self._under_way.values()
            for other in slots
            if other.moment.row == row and (other is slot or other.done)
        ]
        return [other for other in affected if self._skip_quarantined(other)]

    def is_ready(self, step: int) -> bool:
        """Return whether all pairs of a batch have been read."""
        return all(slot.done for slot in self._under_way[step])

    def take(self, step: int) -> PairBatch:
        """Return a copy of a batch that is ready, and free its memory."""
        slots = self._under_way.pop(step)
        first = slots[0].number
        shared = self.pixels[first : first + len(slots)]
        frames = torch.empty_like(shared, pin_memory=self._pin_memory).copy_(shared)
        aspects = [self._catalog[slot.moment.row].aspect_ratio for slot in slots]
        return PairBatch(
            frames,
            torch.tensor(aspects, dtype=torch.float32),
            torch.tensor([slot.moment.row for slot in slots]),
            torch.tensor([slot.pts for slot in slots], dtype=torch.float64),
            [failure for slot in slots for failure in slot.failures],
        )

    def _skip_quarantined(self, slot: Slot) -> bool:
        """Go on to the first stand-in that is not in quarantine; return whether it was needed."""
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
                f"None of {len(slot.failures)} videos tried for one pair could be read. The last: "
                f"{reason}"
            )
        slot.moment = moment
