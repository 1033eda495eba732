"""Statistics of a batch's embeddings, which show a collapse that the loss may hide."""

import torch
from torch import Tensor

from vidmoco.shapes import Float


@torch.no_grad()
def describe_embeddings(
    query: Float[Tensor, "n c"], positive: Float[Tensor, "n c"]
) -> dict[str, float]:
    """Return statistics of embeddings of unit length; this waits for the device.

    ``spread`` is the standard deviation of a component times sqrt(C): 1 for the whole sphere, 0 for
    one point (Chen and He 2021, "Exploring Simple Siamese Representation Learning", section 4.1).
    ``effective_rank`` is exp of the entropy of the singular values, from 1 to min(N, C) (Garrido et
    al. 2023, "RankMe", equation 1). ``alignment`` is the mean squared distance of query and
    positive; ``uniformity`` is the log of the mean of exp(-2 distance^2) over all pairs of queries,
    lower is better (Wang and Isola 2020, "Understanding Contrastive Representation Learning").
    """
    query, positive = query.float(), positive.float()
    values = torch.linalg.svdvals(query)
    shares = values / values.sum().clamp(min=1e-12)
    entropy = -(shares * shares.clamp(min=1e-12).log()).sum()
    squared = (2 - 2 * query @ query.T).clamp(min=0)
    pairs = torch.triu_indices(len(query), len(query), offset=1)
    found = {
        "spread": query.std(0, unbiased=False).mean() * query.shape[1] ** 0.5,
        "effective_rank": entropy.exp(),
        "alignment": (query - positive).square().sum(1).mean(),
        "uniformity": (-2 * squared[pairs[0], pairs[1]]).exp().mean().log(),
    }
    return {name: round(value.item(), 5) for name, value in found.items()}
