"""Which views are contrasted with which: the terms of a loss."""

from collections.abc import Iterable

import torch
from torch import Tensor

from vidmoco import distributed
from vidmoco.methods.losses import Stats
from vidmoco.shapes import Float, Int64


def pairs_of_views(
    num_views: int, *, symmetric: bool, large_views: int = 2
) -> list[tuple[int, int]]:
    """Return the terms (query view, key view).

    Of the large views, 0 is the query and the others are keys, or each is a query and all others
    are its keys (``symmetric``), in terms of their own (Feichtenhofer et al. 2021, "A Large-Scale
    Study on Unsupervised Spatiotemporal Representation Learning", section 3.1). All further views
    are small crops, which are queries only, against the keys of the same large views (Caron et al.
    2020, "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments", section
    3.2).
    """
    queries = range(large_views if symmetric else 1)
    large = [(q, k) for q in queries for k in range(large_views) if k != q]
    keys = sorted({key for _, key in large})
    return large + [(query, key) for query in range(large_views, num_views) for key in keys]


def labels_of_own(num: int, device: torch.device) -> Int64[Tensor, " n"]:
    """Return where the keys of this process's samples are among those of all processes."""
    return torch.arange(num, device=device) + num * distributed.rank()


def times_of(
    factor: float, loss: Float[Tensor, ""], stats: Stats
) -> tuple[Float[Tensor, ""], Stats]:
    """Return a loss times ``factor``, and the diagnostics; the loss at chance grows with it."""
    scaled = {"loss_minus_chance": stats["loss_minus_chance"] * factor}
    return loss * factor, stats | scaled


def mean_of(terms: Iterable[tuple[Float[Tensor, ""], Stats]]) -> tuple[Float[Tensor, ""], Stats]:
    """Return the mean of several losses, and of each of their diagnostics."""
    losses, stats = zip(*terms, strict=True)
    means = {name: torch.stack([one[name] for one in stats]).mean() for name in stats[0]}
    return torch.stack(losses).mean(), means
