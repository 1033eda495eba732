"""Find near-duplicates: similar frames of different videos, or of one video some time apart."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vidmoco.shapes import Bool, Float32, Float64, Int64

_ROWS_AT_ONCE = 512  # assumption: 40 MB of similarities to 20,000 frames


@dataclass(frozen=True)
class DuplicatePair:
    """Two videos, or one video twice, with similar frames."""

    videos: tuple[int, int]
    """Their numbers, the lower one first."""
    num_frames: int
    """Number of frames of the first video with a similar frame in the second."""
    similarity: float
    """Cosine of the two most similar frames."""
    best: tuple[int, int]
    """Rows of those two frames among the compared ones."""


def find_duplicates(
    features: Float32[np.ndarray, "n d"],
    *,
    videos: Int64[np.ndarray, " n"],
    times: Float64[np.ndarray, " n"],
    least: float,
    apart: float,
) -> list[DuplicatePair]:
    """Return the pairs of videos with similar frames, the most similar pair first.

    Two frames of one video count only if they are at least ``apart`` seconds apart and a frame
    between them differs from the first by twice the distance allowed for duplicates. Otherwise
    each still video would be its own duplicate.

    Args:
        features: of unit length, the rows of a video together and in time order.
        videos: the video of each row, in ascending order.
        times: seconds from the first frame of the video.
        least: lowest cosine of similar frames.
        apart: seconds.
    """
    assert (np.diff(videos) >= 0).all()
    starts = np.flatnonzero(np.diff(videos, prepend=-1))
    numbers = videos[starts]
    found: dict[tuple[int, int], DuplicatePair] = {}
    for first in range(0, len(features), _ROWS_AT_ONCE):
        rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(features)))
        similar = features[rows] @ features.T
        # Compare each pair of rows once: only with later rows.
        similar[rows[:, None] >= np.arange(len(features))] = -np.inf
        for number in np.unique(videos[rows]).tolist():
            of_video = slice(*np.searchsorted(videos, [number, number + 1]).tolist())
            in_block = videos[rows] == number
            block = similar[in_block, of_video]
            counts = _left_between(block, rows[in_block] - of_video.start, least=least)
            counts &= times[of_video] - times[rows[in_block], None] >= apart
            similar[in_block, of_video] = np.where(counts, block, -np.inf)
        best = np.maximum.reduceat(similar, starts, axis=1)  # (rows, videos)
        for pair in _pairs(similar, best, rows, videos, numbers, least):
            before = found.get(pair.videos)
            found[pair.videos] = pair if before is None else _merged(before, pair)
    return sorted(found.values(), key=lambda pair: (-pair.similarity, pair.videos))


def _left_between(
    block: Float32[np.ndarray, "m t"], row: Int64[np.ndarray, " m"], *, least: float
) -> Bool[np.ndarray, "m t"]:
    """Return, for rows of one video, whether a frame between ``row`` and each later one differs."""
    later = np.arange(block.shape[1]) > row[:, None]
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
    is_similar = best >= least
    for column in np.flatnonzero(is_similar.any(axis=0)).tolist():
        second = slice(*np.searchsorted(videos, [numbers[column], numbers[column] + 1]).tolist())
        for number in np.unique(videos[rows][is_similar[:, column]]).tolist():
            frames = np.flatnonzero(is_similar[:, column] & (videos[rows] == number))
            row = int(frames[best[frames, column].argmax()])
            other = second.start + int(similar[row, second].argmax())
            yield DuplicatePair(
                (number, int(numbers[column])),
                len(frames),
                float(similar[row, other]),
                (int(rows[row]), other),
            )


def _merged(one: DuplicatePair, other: DuplicatePair) -> DuplicatePair:
    """Merge the results for one pair of videos from two blocks of rows."""
    better = one if one.similarity >= other.similarity else other
    num_frames = one.num_frames + other.num_frames
    return DuplicatePair(better.videos, num_frames, better.similarity, better.best)
