"""The frames most like a query, and not the same moment over and over."""

import numpy as np

from vidmoco.features.feature_set import FeatureSet
from vidmoco.shapes import Float32, Float64, Int64


def similarities(
    features: FeatureSet, queries: Float32[np.ndarray, "q d"]
) -> Float32[np.ndarray, "q n"]:
    """Return the cosine of each query with each row, in one pass over the files.

    Args:
        features: a number a row and query is in memory, and a piece of features at a time.
        queries: of unit length.
    """
    found = np.empty((len(queries), features.num_rows), dtype=np.float32)
    for first, piece in features.pieces():
        found[:, first : first + len(piece)] = queries @ piece.T
    return found


def nearest_rows(
    similarity: Float32[np.ndarray, " n"],
    *,
    videos: Int64[np.ndarray, " n"],
    times: Float64[np.ndarray, " n"],
    top: int,
    per_video: int | None = None,
    min_gap: float = 0.0,
) -> Int64[np.ndarray, " m"]:
    """Return at most ``top`` rows, the most similar first; of equal ones the first row.

    A row is left out when a better one of the same video is nearer than ``min_gap`` seconds, or
    when ``per_video`` better ones of its video are taken.

    Args:
        similarity: to the query; rows of minus infinity are never taken.
        videos: the video of each row.
        times: seconds from its first frame.
        top: rows at most.
        per_video: rows of one video at most; None: as many as there are.
        min_gap: least distance in seconds of two rows of one video.
    """
    left = similarity.copy()
    taken: list[int] = []
    while len(taken) < top:
        best = int(left.argmax())
        if left[best] == -np.inf:
            break
        taken.append(best)
        mine = videos == videos[best]
        spent = per_video is not None and int(mine[taken].sum()) >= per_video
        near = np.abs(times - times[best]) < min_gap
        left[mine if spent else mine & near] = -np.inf
        left[best] = -np.inf
    return np.array(taken, dtype=np.int64)
