"""Weighted k-nearest neighbours on frozen features, as in Instance Discrimination.

Wu et al. 2018 (arXiv:1805.01978), section 3.4: the nearest neighbours of a query by cosine
similarity s vote for their classes with weight exp(s / tau). The paper has k = 200, tau = 0.07.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from vidmoco.shapes import Float, Int64

# Similarities held at once, about 256 MB in float32. More is not faster (measured).
_SIMILARITIES_AT_ONCE = 64 * 2**20


@torch.no_grad()
def weighted_knn(
    train_features: Float[Tensor, "n d"],
    train_labels: Int64[Tensor, " n"],
    query_features: Float[Tensor, "m d"],
    *,
    k: Sequence[int],
    num_classes: int,
    tau: float,
    chunk: int | None = None,
) -> dict[int, Float[Tensor, "m c"]]:
    """Return, for each k, the class scores of each query; the prediction is the greatest.

    Args:
        train_features: The bank; it is L2-normalised here.
        train_labels: Classes of the bank, from 0.
        query_features: On the same device; L2-normalised here.
        k: Numbers of neighbours. A k above the size of the bank takes the whole bank.
        num_classes: c.
        tau: Temperature of the weights.
        chunk: Queries at once. The default bounds memory.

    Returns:
        Scores on the CPU. NOTE: weights are exp((s - s_max) / tau), where s_max is the nearest
        neighbour's, so that a small tau does not overflow. A common factor changes no prediction.
    """
    bank = F.normalize(train_features, dim=1)
    num_train = bank.shape[0]
    chunk = chunk or max(1, _SIMILARITIES_AT_ONCE // num_train)
    clipped = {wanted: min(wanted, num_train) for wanted in k}
    parts: dict[int, list[Tensor]] = {wanted: [] for wanted in clipped}
    for queries in query_features.split(chunk):
        similarity = F.normalize(queries, dim=1) @ bank.T
        nearest, index = similarity.topk(max(clipped.values()), dim=1)
        weights = ((nearest - nearest[:, :1]) / tau).exp()
        labels = train_labels[index]
        for wanted, used in clipped.items():
            scores = torch.zeros(len(queries), num_classes, device=bank.device)
            scores.scatter_add_(1, labels[:, :used], weights[:, :used].float())
            parts[wanted].append(scores.cpu())
    return {wanted: torch.cat(scores) for wanted, scores in parts.items()}
