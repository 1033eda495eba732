"""Scores of predictions: accuracy, confusion matrix, scores of videos, confidence intervals."""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidmoco.shapes import Bool, Float, Int64

_RESAMPLINGS = 2000  # gives the ends of a 95 % interval within a twentieth of its width
_Z = 1.959964  # a normal variable is so far from its mean, or less, with a probability of 95 %


def is_right(
    scores: Float[Tensor, "m c"], labels: Int64[Tensor, " m"], *, top: int = 1
) -> Bool[Tensor, " m"]:
    """Return whether the label is among the ``top`` greatest scores of each row."""
    ranked = scores.topk(top, dim=1).indices
    return (ranked == labels[:, None]).any(dim=1)


def top_accuracy(
    scores: Float[Tensor, "m c"], labels: Int64[Tensor, " m"], *, top: int = 1
) -> float:
    """Return the percentage of rows whose label is among the ``top`` greatest scores."""
    return share_right(is_right(scores, labels, top=top))


def share_right(right: Bool[Tensor, " m"]) -> float:
    """Return the percentage of rows that are right."""
    return 100 * int(right.sum()) / len(right)


def balanced_accuracy(right: Bool[Tensor, " m"], labels: Int64[Tensor, " m"]) -> float:
    """Return the mean over the classes of each one's accuracy, in percent.

    Where classes are unequal, the accuracy over images is high if only the largest is recognised.
    """
    counts = torch.bincount(labels)
    hits = torch.bincount(labels[right], minlength=len(counts))
    return 100 * (hits[counts > 0] / counts[counts > 0].double()).mean().item()


def confusion_matrix(
    predicted: Int64[Tensor, " m"], labels: Int64[Tensor, " m"], *, num_classes: int
) -> Int64[Tensor, "c c"]:
    """Return how often each true class (row) was predicted as each class (column)."""
    cells = labels * num_classes + predicted
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


def video_scores(
    scores: Float[Tensor, "m c"],
    videos: Int64[Tensor, " m"],
    *,
    how: Literal["mean", "max", "vote"],
) -> Float[Tensor, "v c"]:
    """Return scores of videos from the scores of their frames.

    Args:
        scores: Probabilities of the frames.
        videos: The video of each frame, from 0 to v - 1; each video has a frame.
        how: ``mean`` over the frames (as Two-Stream networks are tested, Simonyan and Zisserman
            2014, section 5), ``max`` over the frames, or ``vote``: each frame votes for its best
            class, and the mean decides a tie.
    """
    num_videos = int(videos.max()) + 1
    index = videos[:, None].expand_as(scores)
    blank = torch.zeros(num_videos, scores.shape[1], dtype=scores.dtype)
    if how == "max":
        return blank.scatter_reduce(0, index, scores, "amax", include_self=False)
    means = blank.scatter_reduce(0, index, scores, "mean", include_self=False)
    if how == "mean":
        return means
    votes = F.one_hot(scores.argmax(dim=1), scores.shape[1]).to(scores.dtype)
    # The mean adds less than half a vote: probabilities are at most 1.
    return blank.scatter_add(0, index, votes) + means / 2.5


def interval(
    right: Bool[Tensor, " m"], groups: Int64[Tensor, " m"] | None = None, *, seed: int = 0
) -> list[float]:
    """Return both ends of the 95 % interval of the accuracy in percent, over draws of val images.

    Without ``groups`` it is Wilson's score interval (Wilson 1927, "Probable Inference, the Law of
    Succession, and Statistical Inference"). With them it is the percentile bootstrap (Efron 1979,
    "Bootstrap Methods: Another Look at the Jackknife"), which draws whole groups: frames of one
    video are right or wrong together, so they are not independent samples. Where all groups have
    one accuracy, as where all is right, every draw is the same; then it is Wilson's, of as many
    samples as there are groups.
    """
    if groups is None:
        return _wilson(right.double().mean().item(), len(right))
    _, members = groups.unique(return_inverse=True)
    sizes = torch.bincount(members).numpy()
    hits = torch.bincount(members, weights=right.double()).numpy()
    if len(sizes) == 1:  # one group says nothing about others
        return [0.0, 100.0]
    if (hits * sizes[0] == hits[0] * sizes).all():
        return _wilson(float(hits[0] / sizes[0]), len(sizes))
    generator = np.random.default_rng(seed)
    rows = (generator.integers(len(sizes), size=len(sizes)) for _ in range(_RESAMPLINGS))
    drawn = np.array([hits[some].sum() / sizes[some].sum() for some in rows])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return [100 * float(low), 100 * float(high)]


def _wilson(share: float, count: int) -> list[float]:
    """Return the shares, in percent, of which ``share`` is 1.96 standard deviations away or less.

    They solve (share - x)^2 = z^2 x (1 - x) / count.
    """
    per_count = _Z**2 / count
    middle = share + per_count / 2
    half = math.sqrt(per_count * share * (1 - share) + per_count**2 / 4)
    ends = (middle - half) / (1 + per_count), (middle + half) / (1 + per_count)
    return [100 * min(1.0, max(0.0, end)) for end in ends]
