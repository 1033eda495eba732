"""Which video and which two times make a pair. Pure functions; no video is touched here.

Everything is decided by (seed, epoch, index): the same for any number of workers, and after a
resume.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from vidmoco.shapes import Float64, Int64

# Keeps the streams of random numbers apart that share one seed.
_ORDER, _PAIR = 1, 2

MAX_REPLACEMENTS = 32  # assumption: when so many in a row cannot be read, something else is wrong


@dataclass(frozen=True)
class Moment:
    """One video (a row of the catalog) and the times wanted from it, from its first frame."""

    row: int
    times: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class PairRule:
    """How the two times of a pair are drawn. Times in seconds; see ``sample_pair``."""

    min_gap: float = 0.0
    max_gap: float | None = None
    same_frame_probability: float = 0.0


SINGLE_FRAME = PairRule(same_frame_probability=1.0)


def sample_pair(
    generator: np.random.Generator, *, duration: float, rule: PairRule
) -> tuple[float, float]:
    """Draw two times in [0, ``duration``), in seconds, in random order.

    Uniform over all pairs of times whose distance is from ``min_gap`` to ``max_gap``:

        0        a         b           duration
        |--------x---------x-------------|          min_gap <= b - a <= max_gap

    The density of the gap g is then proportional to duration - g, and its distribution function is
    inverted here, so nothing is rejected. A video shorter than ``min_gap`` gives its longest gap.
    With ``same_frame_probability`` both times are one time (two views of one frame).
    """
    same = generator.random() < rule.same_frame_probability
    gap_draw, start_draw, swap = generator.random(), generator.random(), generator.random() < 0.5
    if same:
        time = start_draw * duration
        return time, time
    longest = duration * (1 - 1e-9)  # a time equal to the duration is past the last frame
    low = min(rule.min_gap, longest)
    high = longest if rule.max_gap is None else min(max(rule.max_gap, low), longest)
    # Area of duration - g from 0 to g is duration * g - g^2 / 2; solve it for g.
    area_low, area_high = (duration * gap - gap * gap / 2 for gap in (low, high))
    area = area_low + gap_draw * (area_high - area_low)
    gap = duration - np.sqrt(max(duration * duration - 2 * area, 0.0))
    gap = float(np.clip(gap, low, high))
    start = start_draw * (longest - gap)
    return (start + gap, start) if swap else (start, start + gap)


def epoch_order(*, seed: int, epoch: int, num_videos: int) -> Int64[np.ndarray, " num_videos"]:
    """Return the order in which an epoch takes the videos: a permutation of their rows."""
    return np.random.default_rng((seed, _ORDER, epoch)).permutation(num_videos)


def steps_per_epoch(*, num_videos: int, batch_size: int) -> int:
    """Return the number of whole batches in an epoch; what is left over is dropped."""
    return num_videos // batch_size


def step_indices(*, step: int, num_videos: int, batch_size: int) -> tuple[int, range]:
    """Return the epoch of a step and the positions in its order that make the step's batch."""
    epoch, within = divmod(step, steps_per_epoch(num_videos=num_videos, batch_size=batch_size))
    return epoch, range(within * batch_size, (within + 1) * batch_size)


def pair_generator(*, seed: int, epoch: int, index: int, attempt: int = 0) -> np.random.Generator:
    """Return the generator that draws the pair at ``index`` of an epoch's order."""
    return np.random.default_rng((seed, _PAIR, epoch, index, attempt))


def replacements(*, index: int, num_videos: int, batch_size: int) -> Iterator[int]:
    """Yield the indices whose videos stand in, one after the other, for one that cannot be read.

    First the same place in the other batches of the epoch: two failures of one batch then get
    different videos, none of which is in the batch. After those, the neighbours.
    """
    tried = {index}
    others = (index + n * batch_size for n in range(1, -(-num_videos // batch_size)))
    for candidate in chain(others, (index + n for n in range(1, num_videos))):
        if candidate % num_videos not in tried and len(tried) <= MAX_REPLACEMENTS:
            tried.add(candidate % num_videos)
            yield candidate % num_videos


class PairPlan:
    """Which moment each (epoch, index) of a run is, and which stand in for it."""

    def __init__(
        self,
        durations: Float64[np.ndarray, " num_videos"],
        *,
        rule: PairRule,
        seed: int,
        batch_size: int,
    ) -> None:
        """Take the durations of all videos, in seconds, in the order of their rows."""
        self._durations, self._rule, self._seed = durations, rule, seed
        self._batch_size = batch_size
        self._order: tuple[int, Int64[np.ndarray, " num_videos"]] | None = None

    def moments(self, epoch: int, index: int) -> Iterator[Moment]:
        """Yield the moment of a place in an epoch, and then its stand-ins."""
        num_videos = len(self._durations)
        if self._order is None or self._order[0] != epoch:
            order = epoch_order(seed=self._seed, epoch=epoch, num_videos=num_videos)
            self._order = (epoch, order)
        order = self._order[1]
        stand_ins = replacements(index=index, num_videos=num_videos, batch_size=self._batch_size)
        for attempt, candidate in enumerate(chain([index], stand_ins)):
            row = int(order[candidate])
            generator = pair_generator(seed=self._seed, epoch=epoch, index=index, attempt=attempt)
            duration = float(self._durations[row])
            yield Moment(row, sample_pair(generator, duration=duration, rule=self._rule))
