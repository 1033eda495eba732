"""Contrastive losses: pure functions of embeddings."""

import torch
from torch import Tensor
from torch.nn import functional

from vidmoco.shapes import Float

Stats = dict[str, Tensor]


def info_nce(
    query: Float[Tensor, "n c"],
    key: Float[Tensor, "n c"],
    negatives: Float[Tensor, "k c"],
    *,
    tau: float,
) -> tuple[Float[Tensor, ""], Stats]:
    """InfoNCE with one positive a query and shared negatives (He et al. 2020, equation 1).

    All vectors are of unit length. Returns the loss, in nats (log(K + 1) at chance), and of the
    (K + 1)-way classification the ``top1`` and ``top5`` accuracy in percent, and the mean
    similarities ``positive`` and ``negative``, from -1 to 1; these without gradient.
    """
    # float32 under autocast too: bf16 keeps three digits, and 1 / tau makes differences of them.
    with torch.autocast(query.device.type, enabled=False):
        query, key, negatives = query.float(), key.float(), negatives.float()
        positive = torch.einsum("nc,nc->n", query, key)  # (N,)
        negative = torch.einsum("nc,kc->nk", query, negatives)  # (N, K)
        logits = torch.cat([positive[:, None], negative], dim=1) / tau  # (N, 1 + K)
        labels = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
        loss = functional.cross_entropy(logits, labels)
    with torch.no_grad():
        rank = (negative >= positive[:, None]).sum(dim=1)  # negatives before the positive
        stats = {
            "top1": (rank < 1).float().mean() * 100,
            "top5": (rank < 5).float().mean() * 100,
            "positive": positive.detach().mean(),
            "negative": negative.detach().mean(),
        }
    return loss, stats
