"""Frames of different videos, or of one video after a while, that look the same."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vidmoco.shapes import Bool, Float32, Float64, Int64

_ROWS_AT_ONCE = 512  # assumption: 40 MB of similarities to 20,000 frames


@dataclass(frozen=True)
class DuplicatePair:
    """Two videos, or one and itself, with frames that look the same."""

    videos: tuple[int, int]
    """Their numbers, the lower one first."""
    num_frames: int
    """Frames of the first video with one in the second that looks the same."""
    similarity: float
    """Cosine of the two frames most alike."""
    best: tuple[int, int]
    """Those frames, as rows of what was compared."""


def find_duplicates(
    features: Float32[np.ndarray, "n d"],
    *,
    videos: Int64[np.ndarray, " n"],
    times: Float64[np.ndarray, " n"],
    least: float,
    apart: float,
) -> list[DuplicatePair]:
    """Return the pairs of videos with frames that look the same, the most alike first.

    Within one video two frames count when they are ``apart`` seconds from each other or more, and
    a frame between them is twice as unlike the first one as duplicates may be: it went and came
    back. Else each video that stands still would be its own duplicate.

    Args:
        features: of unit length, the rows of a video together and in the order of time.
        videos: the video of each row; the numbers rise.
        times: seconds from its first frame.
        least: cosine of frames that look the same.
        apart: seconds.
    """
    assert (np.diff(videos) >= 0).all()
    starts = np.flatnonzero(np.diff(videos, prepend=-1))
    numbers = videos[starts]
    found: dict[tuple[int, int], DuplicatePair] = {}
    for first in range(0, len(features), _ROWS_AT_ONCE):
        rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(features)))
        similar = features[rows] @ features.T
        # Each pair once: what is before the row, in its own video too, has been compared.
        similar[rows[:, None] >= np.arange(len(features))] = -np.inf
        for number in np.unique(videos[rows]).tolist():
            here = slice(*np.searchsorted(videos, [number, number + 1]).tolist())
            mine = videos[rows] == number
            block = similar[mine, here]
            counts = _came_back(block, rows[mine] - here.start, least=least)
            counts &= times[here] - times[rows[mine], None] >= apart
            similar[mine, here] = np.where(counts, block, -np.inf)
        best = np.maximum.reduceat(similar, starts, axis=1)  # (rows, videos)
        for pair in _pairs(similar, best, rows, videos, numbers, least):
            before = found.get(pair.videos)
            found[pair.videos] = pair if before is None else _merged(before, pair)
    return sorted(found.values(), key=lambda pair: (-pair.similarity, pair.videos))


def _came_back(
    block: Float32[np.ndarray, "m t"], own: Int64[np.ndarray, " m"], *, least: float
) -> Bool[np.ndarray, "m t"]:
    """Return, for rows of one video, whether a frame between ``own`` and each later one differs."""
    later = np.arange(block.shape[1]) > own[:, None]
    lowest = np.minimum.accumulate(np.where(later, block, np.inf), axis=1)
    return lowest < 1 - 2 * (1 - least)


def _pairs(
    similar: Float32[np.ndarray, "m n"],
    best: Float32[np.ndarray, "m videos"],
    rows: Int64[np.ndarray, " m"],
    videos: Int64[np.ndarray, " n"],
    numbers: Int64[np.ndarray, " videos"],
    least: float,
) -> Iterator[DuplicatePair]:
    """Yield the pairs of videos of a block of rows."""
    alike = best >= least
    for column in np.flatnonzero(alike.any(axis=0)).tolist():
        there = slice(*np.searchsorted(videos, [numbers[column], numbers[column] + 1]).tolist())
        for number in np.unique(videos[rows][alike[:, column]]).tolist():
            mine = np.flatnonzero(alike[:, column] & (videos[rows] == number))
            row = int(mine[best[mine, column].argmax()])
            other = there.start + int(similar[row, there].argmax())
            yield DuplicatePair(
                (number, int(numbers[column])),
                len(mine),
                float(similar[row, other]),
                (int(rows[row]), other),
            )


def _merged(one: DuplicatePair, other: DuplicatePair) -> DuplicatePair:
    """Return a pair of videos as seen in two blocks of rows of the first one."""
    better = one if one.similarity >= other.similarity else other
    num_frames = one.num_frames + other.num_frames
    return DuplicatePair(better.videos, num_frames, better.similarity, better.best)
