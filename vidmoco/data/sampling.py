"""The times of the frames of a pair, as pure functions of the seed and the place in the order.

So the times do not depend on the number of workers, and are the same after a resume.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from vidmoco.config.data import DataConfig
from vidmoco.data.order import BatchOrder, Place
from vidmoco.data.sources import Sources

GapLaw = Literal["linear_decay", "uniform", "segments"]

# Distinguishes this stream of random numbers from those of order.py.
_PAIR = 2

_BISECTIONS = 50  # enough for the precision of a float

MAX_REPLACEMENTS = 32  # assumption: if this many videos fail in a row, the cause is elsewhere


@dataclass(frozen=True)
class Moment:
    """A video (a row of the catalog), and times in it, in seconds from its first frame."""

    row: int
    times: tuple[float, ...]
    source: int = -1
    """Of a plan's moment: the source that the times are in."""


@dataclass(frozen=True, kw_only=True)
class PairRule:
    """How the times of a pair are drawn, in seconds (see ``sample_times``)."""

    gap_law: GapLaw = "linear_decay"
    min_gap: float = 0.0
    max_gap: float | None = None
    single_frame: bool = False
    frames: int = 2


def pair_rule(config: DataConfig) -> PairRule:
    """Return how the times of a pair are drawn."""
    return PairRule(
        gap_law=config.gap_law,
        min_gap=config.min_gap,
        max_gap=config.max_gap,
        single_frame=config.single_frame,
        frames=config.frames_per_video,
    )


def sample_times(
    generator: np.random.Generator, *, duration: float, rule: PairRule
) -> tuple[float, ...]:
    """Draw the times of a pair (or of more frames) in [0, ``duration``), in random order.

        0        a         b           duration
        |--------x---------x-------------|          min_gap <= b - a <= max_gap

    ``linear_decay`` is uniform over all pairs of times with an allowed gap. The density of the gap
    g is then proportional to duration - g (Qian et al. 2021, "Spatiotemporal Contrastive Video
    Representation Learning", section 3.3). With ``uniform`` all gaps are equally likely. With
    ``segments`` a is in the first half of the video and b in the second (Xu and Wang 2021,
    "Rethinking Self-Supervised Correspondence Learning", section 3.2).

    With more than two frames, a and b are the first and the last, and the others are uniform
    between them, so ``linear_decay`` is uniform over all allowed times. ``segments`` then has as
    many equal parts as frames.

    The gap is drawn by inverting its distribution function, so nothing is rejected. A video shorter
    than ``min_gap`` gives its longest gap. With ``single_frame`` all times are equal.
    """
    generator.random()  # unused, but kept so that a seed gives the same pairs as in older versions
    gap_draw, start_draw, swap = generator.random(), generator.random(), generator.random() < 0.5
    frames = rule.frames
    if rule.single_frame:
        return (start_draw * duration,) * frames
    longest = duration * (1 - 1e-9)  # a time equal to the duration is past the last frame
    if rule.gap_law == "segments" and frames > 2:
        parts = (np.arange(frames) + generator.random(frames)) / frames
        return tuple(generator.permutation(parts * longest).tolist())
    low = min(rule.min_gap, longest)
    high = longest if rule.max_gap is None else min(rule.max_gap, longest)
    law = rule.gap_law
    area_low, area_high = (_area(gap, duration, law, frames) for gap in (low, high))
    area = area_low + gap_draw * (area_high - area_low)
    gap = float(np.clip(_gap_of(area, duration, law, frames), low, high))
    earliest, latest = 0.0, longest - gap
    if rule.gap_law == "segments":
        earliest, latest = max(0.0, duration / 2 - gap), min(duration / 2, latest)
    start = earliest + start_draw * (latest - earliest)
    if frames > 2:
        between = start + gap * generator.random(frames - 2)
        return tuple(generator.permutation([start, *between, start + gap]).tolist())
    return (start + gap, start) if swap else (start, start + gap)


def _area(gap: float, duration: float, law: GapLaw, frames: int) -> float:
    """Return the integral of the unnormalised density of gaps from 0 to ``gap``."""
    if law == "uniform":
        return gap
    if law == "linear_decay":
        # The range of n uniform times has the density gap^(n-2) (d - gap).
        share = gap / duration  # no overflow
        return duration**2 * (share ** (frames - 1) / (frames - 1) - share**frames / frames)
    half = duration / 2  # the density rises up to half the video, and falls after it
    return gap * gap / 2 if gap <= half else half * half - (duration - gap) ** 2 / 2


def _gap_of(area: float, duration: float, law: GapLaw, frames: int) -> float:
    """Return the gap that has this area: the inverse of ``_area``."""
    if law == "uniform":
        return area
    if law == "linear_decay" and frames > 2:
        low, high = 0.0, duration
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if _area(middle, duration, law, frames) < area:
                low = middle
            else:
                high = middle
        return high
    if law == "linear_decay":
        return duration - math.sqrt(max(duration * duration - 2 * area, 0.0))
    half = duration / 2
    if area <= half * half / 2:
        return math.sqrt(2 * area)
    return duration - math.sqrt(max(2 * (half * half - area), 0.0))


def pair_generator(*, seed: int, epoch: int, index: int, attempt: int = 0) -> np.random.Generator:
    """Return the generator that draws the pair at ``index`` of an epoch's order."""
    return np.random.default_rng((seed, _PAIR, epoch, index, attempt))


def replacements(*, index: int, num_pairs: int, batch_size: int) -> Iterator[int]:
    """Yield the indices of the pairs that replace an unreadable one, in the order to try them.

    First comes the same position in the other batches of the epoch, so two failures of one batch
    get different sources. Then come the neighbours of that position, and last the pairs of the
    batch itself.
    """
    tried = {index}
    position, num_others = index % batch_size, num_pairs - batch_size
    start = index - position
    far, near = range(0, num_others, batch_size), range(1, num_others)
    others = (start + batch_size + (position + n) % num_others for n in chain(far, near))
    own = (start + (position + n) % batch_size for n in range(1, batch_size))
    for candidate in chain(others, own):
        if candidate % num_pairs not in tried and len(tried) <= MAX_REPLACEMENTS:
            tried.add(candidate % num_pairs)
            yield candidate % num_pairs


class PairPlan:
    """The moment of each place of a run, and its replacements."""

    def __init__(
        self,
        order: BatchOrder,
        sources: Sources,
        *,
        rule: PairRule,
        seed: int,
    ) -> None:
        """Take the order, and the sources that it puts in order."""
        self.order = order
        self.rule = rule
        self.sources, self._seed = sources, seed

    def moments(self, place: Place) -> Iterator[Moment]:
        """Yield the moment of a place, and then its replacements."""
        epoch, index = self.order.epoch_and_index(place)
        batching = self.order.batching
        others = replacements(
            index=index, num_pairs=batching.pairs_per_epoch, batch_size=batching.batch_size
        )
        for attempt, candidate in enumerate(chain([index], others)):
            source = self.order.source(epoch, candidate)
            generator = pair_generator(seed=self._seed, epoch=epoch, index=index, attempt=attempt)
            start = float(self.sources.starts[source])
            duration = float(self.sources.durations[source])
            times = sample_times(generator, duration=duration, rule=self.rule)
            yield Moment(
                int(self.sources.rows[source]), tuple(start + time for time in times), source
            )
