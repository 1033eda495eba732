"""Weighted k-nearest neighbours on frozen features, as in Instance Discrimination.

Wu et al. 2018 (arXiv:1805.01978), section 3.4: the nearest neighbours of a query by cosine
similarity s vote for their classes with weight exp(s / tau). The paper has k = 200, tau = 0.07.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from vidmoco.shapes import Float, Int64

# Similarities held at once, about 256 MB in float32. More is not faster (measured).
_SIMILARITIES_AT_ONCE = 64 * 2**20


@torch.no_grad()
def knn_predictions(
    train_features: Float[Tensor, "n d"],
    train_labels: Int64[Tensor, " n"],
    query_features: Float[Tensor, "m d"],
    *,
    k: Sequence[int],
    tau: Sequence[float],
    num_classes: int,
    scores_of: tuple[float, int] | None = None,
) -> tuple[dict[tuple[float, int], Int64[Tensor, " m"]], Float[Tensor, "m c"] | None]:
    """Return the predicted class of each query for each tau and k, and the scores of one of them.

    All scores of 100,000 queries, 10,000 classes and ten pairs of tau and k would be 40 GB.

    Args:
        train_features: The bank; it is L2-normalised here.
        train_labels: Classes of the bank, from 0.
        query_features: On the same device; L2-normalised here.
        k: Numbers of neighbours, each once. A k above the size of the bank takes the whole bank.
        tau: Temperatures of the weights, each once.
        num_classes: c.
        scores_of: The tau and k whose scores are returned too; None for no scores.

    Returns:
        Both on the CPU. NOTE: weights are exp((s - s_max) / tau), where s_max is the nearest
        neighbour's, so that a small tau does not overflow. A common factor changes no prediction.
    """
    found: dict[tuple[float, int], list[Tensor]] = {(t, wanted): [] for t in tau for wanted in k}
    kept: list[Tensor] = []
    chunk = max(1, _SIMILARITIES_AT_ONCE // max(len(train_features), num_classes))
    for nearest, labels in _neighbours(
        train_features, train_labels, query_features, most=max(k), chunk=chunk
    ):
        for t in tau:
            weights = _weights(nearest, t)
            for wanted in k:
                scores = _votes(labels, weights, wanted, num_classes)
                found[t, wanted].append(scores.argmax(dim=1).cpu())
                if (t, wanted) == scores_of:
                    kept.append(scores.cpu())
    return {key: torch.cat(some) for key, some in found.items()}, torch.cat(kept) if kept else None


def _neighbours(
    train_features: Tensor,
    train_labels: Tensor,
    query_features: Tensor,
    *,
    most: int,
    chunk: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the cosines and labels of the nearest rows of the bank, for a chunk of queries each."""
    bank = F.normalize(train_features, dim=1)
    for queries in query_features.split(chunk):
        similarity = F.normalize(queries, dim=1) @ bank.T
        nearest, index = similarity.topk(min(most, len(bank)), dim=1)
        yield nearest, train_labels[index]


def _weights(nearest: Tensor, tau: float) -> Tensor:
    return ((nearest - nearest[:, :1]) / tau).exp().float()


def _votes(labels: Tensor, weights: Tensor, k: int, num_classes: int) -> Tensor:
    scores = torch.zeros(len(labels), num_classes, device=labels.device)
    return scores.scatter_add_(1, labels[:, :k], weights[:, :k])
