"""Find near-duplicates: similar frames of different videos, or of one video some time apart."""

from dataclasses import dataclass

import numpy as np

from vidmoco.shapes import Bool, Float32, Float64, Int64

_ROWS_AT_ONCE = 512  # assumption: 40 MB of similarities to 20,000 frames
MOST_PAIRS = 10_000
"""Number of pairs that are listed. 2,000 videos that look alike have two million."""
# What is kept of a pair: videos, frames of the first one, cosine and rows of the best frames.
_COLUMNS = {
    "first": np.int64,
    "second": np.int64,
    "num_frames": np.int64,
    "similarity": np.float32,
    "row": np.int64,
    "other": np.int64,
}


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

    @property
    def is_within(self) -> bool:
        """Whether it is one video, which shows the same twice."""
        return self.videos[0] == self.videos[1]


@dataclass(frozen=True)
class Duplicates:
    """What ``find_duplicates`` has found."""

    pairs: list[DuplicatePair]
    """The most similar pairs, the most similar one first; those of two videos before those of one
    video with itself."""
    num_found: int
    """Number of all pairs. A backbone that tells no video apart gives the square of the videos."""
    num_within: int
    """Number of those that are one video with itself."""


def find_duplicates(
    features: Float32[np.ndarray, "n d"],
    *,
    videos: Int64[np.ndarray, " n"],
    times: Float64[np.ndarray, " n"],
    least: float,
    apart: float,
    most: int = MOST_PAIRS,
) -> Duplicates:
    """Return the pairs of videos with similar frames.

    Two frames of one video count only if they are at least ``apart`` seconds apart and a frame
    between them differs from the first by twice the distance allowed for duplicates. Otherwise
    each still video would be its own duplicate.

    Args:
        features: of unit length, the rows of a video together and in time order.
        videos: the video of each row, in ascending order.
        times: seconds from the first frame of the video.
        least: lowest cosine of similar frames.
        apart: seconds.
        most: number of pairs to return, at least 1. If there are more, the most similar ones are
            returned, and pairs of two videos before others.
    """
    assert (np.diff(videos) >= 0).all()
    starts = np.flatnonzero(np.diff(videos, prepend=-1))
    ends = np.append(starts[1:], len(videos))
    numbers = videos[starts]
    kept = _Best(most)
    unfinished: dict[str, np.ndarray] | None = None  # of a video whose frames are in two blocks
    for first in range(0, len(features), _ROWS_AT_ONCE):
        rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(features)))
        similar = features[rows] @ features.T
        # Compare each pair of rows once: only with later rows.
        similar[rows[:, None] >= np.arange(len(features))] = -np.inf
        of_rows = [
            (number, np.flatnonzero(videos[rows] == number))
            for number in np.unique(videos[rows]).tolist()
        ]
        for number, block_rows in of_rows:
            of_video = slice(*np.searchsorted(videos, [number, number + 1]).tolist())
            block = similar[block_rows, of_video]
            counts = _left_between(block, rows[block_rows] - of_video.start, least=least)
            counts &= times[of_video] - times[rows[block_rows], None] >= apart
            similar[block_rows, of_video] = np.where(counts, block, -np.inf)
        best = np.maximum.reduceat(similar, starts, axis=1)  # (rows, videos)
        for number, block_rows in of_rows:
            found = _pairs_of(number, best[block_rows], rows[block_rows], numbers, least)
            if unfinished is not None:
                found, unfinished = _merged(unfinished, found), None
            if number in videos[rows[-1] + 1 :][:1]:  # it goes on in the next block
                _name_others(found, similar, first, starts, ends, numbers)
                unfinished = found
            else:
                kept.add(found)
        kept.shorten()
        _name_others(kept.pairs, similar, first, starts, ends, numbers)
    return Duplicates(kept.as_list(), kept.num_found, kept.num_within)


class _Best:
    """The most similar pairs of those added so far, as columns; see ``_pairs_of``."""

    def __init__(self, most: int) -> None:
        self.most, self.num_found, self.num_within = most, 0, 0
        self.pairs = {name: np.zeros(0, kind) for name, kind in _COLUMNS.items()}
        self._lowest = -np.inf  # rank that a pair must exceed to be among the best

    def add(self, found: dict[str, np.ndarray]) -> None:
        """Add pairs, which are in the order of their videos, after those of all earlier calls."""
        self.num_found += len(found["first"])
        self.num_within += int((found["first"] == found["second"]).sum())
        chosen = _rank_of(found) > self._lowest
        self.pairs = {name: np.append(self.pairs[name], found[name][chosen]) for name in _COLUMNS}
        if len(self.pairs["first"]) > 4 * self.most:
            self.shorten()

    def shorten(self) -> None:
        """Sort the pairs, and forget those that are too many."""
        # A stable sort: of equally similar pairs those of the first videos stay.
        ranks = _rank_of(self.pairs)
        order = np.argsort(-ranks, kind="stable")[: self.most]
        if len(order) == self.most:
            self._lowest = float(ranks[order[-1]])
        self.pairs = {name: column[order] for name, column in self.pairs.items()}

    def as_list(self) -> list[DuplicatePair]:
        """Return the pairs, the most similar one first."""
        self.shorten()
        columns = (self.pairs[name].tolist() for name in _COLUMNS)
        return [
            DuplicatePair((first, second), count, similarity, (row, other))
            for first, second, count, similarity, row, other in zip(*columns, strict=True)
        ]


def _rank_of(pairs: dict[str, np.ndarray]) -> Float64[np.ndarray, " n"]:
    """Return a number that is higher for more similar pairs, and lowest for a video with itself."""
    # Cosines differ by 2 at most.
    is_within = pairs["first"] == pairs["second"]
    return np.asarray(pairs["similarity"] - np.where(is_within, 4.0, 0.0))


def _left_between(
    block: Float32[np.ndarray, "m t"], row: Int64[np.ndarray, " m"], *, least: float
) -> Bool[np.ndarray, "m t"]:
    """Return, for rows of one video, whether a frame between ``row`` and each later one differs."""
    later = np.arange(block.shape[1]) > row[:, None]
    lowest = np.minimum.accumulate(np.where(later, block, np.inf), axis=1)
    return lowest < 1 - 2 * (1 - least)


def _pairs_of(
    number: int,
    best: Float32[np.ndarray, "m videos"],
    rows: Int64[np.ndarray, " m"],
    numbers: Int64[np.ndarray, " videos"],
    least: float,
) -> dict[str, np.ndarray]:
    """Return the pairs of one video, in the order of the second video; see ``_COLUMNS``."""
    counts = (best >= least).sum(axis=0)
    columns = np.flatnonzero(counts)
    top = best[:, columns].argmax(axis=0)
    return {
        "first": np.full(len(columns), number),
        "second": numbers[columns],
        "num_frames": counts[columns],
        "similarity": best[top, columns],
        "row": rows[top],
        "other": np.full(len(columns), -1),
    }


def _merged(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Merge the pairs of one video from two blocks of rows."""
    both = {name: np.append(one[name], other[name]) for name in _COLUMNS}
    seconds, position = np.unique(both["second"], return_inverse=True)
    num_frames = np.zeros(len(seconds), np.int64)
    np.add.at(num_frames, position, both["num_frames"])
    # Of each second video the more similar pair comes first, and of equal ones the earlier.
    order = np.lexsort([-both["similarity"], both["second"]])
    better = order[np.searchsorted(both["second"][order], seconds)]
    return {name: column[better] for name, column in both.items()} | {"num_frames": num_frames}


def _name_others(
    pairs: dict[str, np.ndarray],
    similar: Float32[np.ndarray, "m n"],
    first: int,
    starts: Int64[np.ndarray, " videos"],
    ends: Int64[np.ndarray, " videos"],
    numbers: Int64[np.ndarray, " videos"],
) -> None:
    """Write which row of the second video is the most similar one, where it is unknown.

    Args:
        pairs: their unknown rows are of this block.
        similar: cosines of the rows of the block, and ``first`` is the number of its first row.
        first: see ``similar``.
        starts: first row of each video.
        ends: the row after its last one.
        numbers: the videos.
    """
    unknown = np.flatnonzero(pairs["other"] < 0)
    second = np.searchsorted(numbers, pairs["second"][unknown])
    for place, row, start, end in zip(
        unknown, pairs["row"][unknown] - first, starts[second], ends[second], strict=True
    ):
        pairs["other"][place] = start + similar[row, start:end].argmax()
