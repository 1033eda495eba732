"""Find the frames most similar to a query, without repeating the same moment."""

import numpy as np

from vidmoco.features.feature_set import FeatureSet
from vidmoco.shapes import Float32, Float64, Int64


def similarities(
    features: FeatureSet, queries: Float32[np.ndarray, "q d"]
) -> Float32[np.ndarray, "q n"]:
    """Return the cosine of each query (of unit length) with each row, in one pass over the files.

    One number per row and query is in memory, and one piece of features at a time.
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
    """Return at most ``top`` rows, the most similar first; the lower row wins a tie.

    A row is left out if a better row of the same video is nearer than ``min_gap`` seconds, or if
    ``per_video`` better rows of its video are chosen.

    Args:
        similarity: to the query; rows of minus infinity are never chosen.
        videos: the video of each row.
        times: seconds from the first frame of the video.
        top: maximum number of rows.
        per_video: maximum number of rows of one video; None means no limit.
        min_gap: minimum distance in seconds of two rows of one video.
    """
    remaining = similarity.copy()
    chosen: list[int] = []
    while len(chosen) < top:
        best = int(remaining.argmax())
        if remaining[best] == -np.inf:
            break
        chosen.append(best)
        same_video = videos == videos[best]
        is_full = per_video is not None and int(same_video[chosen].sum()) >= per_video
        is_near = np.abs(times - times[best]) < min_gap
        remaining[same_video if is_full else same_video & is_near] = -np.inf
        remaining[best] = -np.inf
    return np.array(chosen, dtype=np.int64)
