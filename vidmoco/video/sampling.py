"""Which two times of a video make a pair. Pure functions; no video is touched here.

Everything is decided by the seed and the place in the order (``order.py``): the same for any number
of workers, and after a resume.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from vidmoco.shapes import Float64
from vidmoco.video.order import BatchOrder, Place

GapLaw = Literal["linear_decay", "uniform", "segments"]

# Keeps this stream of random numbers apart from those of order.py.
_PAIR = 2

MAX_REPLACEMENTS = 32  # assumption: when so many in a row cannot be read, something else is wrong


@dataclass(frozen=True)
class Moment:
    """One video (a row of the catalog) and the times wanted from it, from its first frame."""

    row: int
    times: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class PairRule:
    """How the two times of a pair are drawn. Times in seconds; see ``sample_pair``."""

    gap_law: GapLaw = "linear_decay"
    min_gap: float = 0.0
    max_gap: float | None = None
    same_frame_probability: float = 0.0


SINGLE_FRAME = PairRule(same_frame_probability=1.0)


def sample_pair(
    generator: np.random.Generator, *, duration: float, rule: PairRule
) -> tuple[float, float]:
    """Draw two times in [0, ``duration``), in seconds, in random order.

        0        a         b           duration
        |--------x---------x-------------|          min_gap <= b - a <= max_gap

    ``linear_decay``: uniform over all pairs of times with such a gap. The density of the gap g is
    then proportional to duration - g (Qian et al. 2021, "Spatiotemporal Contrastive Video
    Representation Learning", section 3.3). ``uniform``: all gaps are equally likely.
    ``segments``: a is of the first half of the video and b of the second (Xu and Wang 2021,
    "Rethinking Self-Supervised Correspondence Learning", section 3.2).

    The distribution function of the gap is inverted, so nothing is rejected. A video shorter than
    ``min_gap`` gives its longest gap. With ``same_frame_probability`` both times are one time (two
    views of one frame).
    """
    same = generator.random() < rule.same_frame_probability
    gap_draw, start_draw, swap = generator.random(), generator.random(), generator.random() < 0.5
    if same:
        time = start_draw * duration
        return time, time
    longest = duration * (1 - 1e-9)  # a time equal to the duration is past the last frame
    low = min(rule.min_gap, longest)
    high = longest if rule.max_gap is None else min(max(rule.max_gap, low), longest)
    area_low, area_high = (_area(gap, duration, rule.gap_law) for gap in (low, high))
    area = area_low + gap_draw * (area_high - area_low)
    gap = float(np.clip(_gap_of(area, duration, rule.gap_law), low, high))
    earliest, latest = 0.0, longest - gap
    if rule.gap_law == "segments":
        earliest, latest = max(0.0, duration / 2 - gap), min(duration / 2, latest)
    start = earliest + start_draw * (latest - earliest)
    return (start + gap, start) if swap else (start, start + gap)


def _area(gap: float, duration: float, law: GapLaw) -> float:
    """Return the area below the density of gaps (not normalised) from 0 to ``gap``."""
    if law == "uniform":
        return gap
    if law == "linear_decay":
        return duration * gap - gap * gap / 2
    half = duration / 2  # the density grows as the gap up to half the video, and falls again
    return gap * gap / 2 if gap <= half else half * half - (duration - gap) ** 2 / 2


def _gap_of(area: float, duration: float, law: GapLaw) -> float:
    """Return the gap up to which there is such an area."""
    if law == "uniform":
        return area
    if law == "linear_decay":
        return duration - math.sqrt(max(duration * duration - 2 * area, 0.0))
    half = duration / 2
    if area <= half * half / 2:
        return math.sqrt(2 * area)
    return duration - math.sqrt(max(2 * (half * half - area), 0.0))


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
    """Which moment each place of a run is, and which stand in for it."""

    def __init__(
        self,
        order: BatchOrder,
        durations: Float64[np.ndarray, " num_videos"],
        *,
        rule: PairRule,
        seed: int,
    ) -> None:
        """Take the order, and the durations of all videos, in seconds, by row."""
        self.order = order
        self._durations, self._rule, self._seed = durations, rule, seed

    def moments(self, place: Place) -> Iterator[Moment]:
        """Yield the moment of a place, and then its stand-ins."""
        epoch, index = self.order.epoch_and_index(place)
        batching = self.order.batching
        stand_ins = replacements(
            index=index, num_videos=batching.num_videos, batch_size=batching.batch_size
        )
        for attempt, candidate in enumerate(chain([index], stand_ins)):
            row = self.order.video(epoch, candidate)
            generator = pair_generator(seed=self._seed, epoch=epoch, index=index, attempt=attempt)
            duration = float(self._durations[row])
            yield Moment(row, sample_pair(generator, duration=duration, rule=self._rule))
