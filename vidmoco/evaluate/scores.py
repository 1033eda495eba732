"""What is said of predictions: accuracy, by class, and how sure it is."""

import numpy as np
import torch
from torch import Tensor

from vidmoco.shapes import Bool, Float, Int64

_RESAMPLINGS = 2000  # the ends of a 95 % interval then lie within a twentieth of its width


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
    return 100 * int(is_right(scores, labels, top=top).sum()) / len(labels)


def confusion_matrix(
    scores: Float[Tensor, "m c"], labels: Int64[Tensor, " m"]
) -> Int64[Tensor, "c c"]:
    """Return how often each class (row) was taken for each class (column)."""
    num_classes = scores.shape[1]
    cells = labels * num_classes + scores.argmax(dim=1)
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


def interval(
    right: Bool[Tensor, " m"], groups: Int64[Tensor, " m"] | None = None, *, seed: int = 0
) -> list[float]:
    """Return both ends of the 95 % interval of the accuracy, in percent, over other val images.

    Percentile bootstrap (Efron 1979, "Bootstrap Methods: Another Look at the Jackknife"). With
    ``groups``, whole groups are drawn: frames of one video are right or wrong together, and are not
    as many samples as they seem.
    """
    generator = np.random.default_rng(seed)
    if groups is None:
        share = right.double().mean().item()
        drawn = generator.binomial(len(right), share, size=_RESAMPLINGS) / len(right)
    else:
        _, members = groups.unique(return_inverse=True)
        sizes = torch.bincount(members).numpy()
        hits = torch.bincount(members, weights=right.double()).numpy()
        rows = generator.integers(len(sizes), size=(_RESAMPLINGS, len(sizes)))
        drawn = hits[rows].sum(1) / sizes[rows].sum(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return [100 * float(low), 100 * float(high)]
