"""The terms of a loss: which views are contrasted with each other."""

from collections.abc import Iterable

import torch
from torch import Tensor

from vidmoco import distributed
from vidmoco.methods.losses import Stats
from vidmoco.shapes import Bool, Float, Float64, Int64


def count_large(views: list[Float[Tensor, "n 3 _ _"]], stated: int) -> int:
    """Return the number of full-size views: the stated one; for 0, those of the first one's size.

    Raises:
        ValueError: there are fewer views than stated, or fewer than two.
    """
    large = stated or sum(view.shape == views[0].shape for view in views)
    if not 2 <= large <= len(views):
        raise ValueError(
            f"There are {len(views)} views, {large} of them of full size. Give at least two, and "
            "as many as Inputs(large_views=...) says."
        )
    return large


def pairs_of_views(
    num_views: int, *, symmetric: bool, large_views: int = 2
) -> list[tuple[int, int]]:
    """Return the terms of the loss as (query view, key view).

    View 0 is the query, and the other large views are its keys. With ``symmetric`` each large view
    is a query, and all others are its keys. Each key makes its own term (Feichtenhofer et al. 2021,
    "A Large-Scale Study on Unsupervised Spatiotemporal Representation Learning", section 3.1). The
    views after the large ones are small crops. They are only queries, contrasted with the same keys
    (Caron et al. 2020, "Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments", section 3.2).
    """
    queries = range(large_views if symmetric else 1)
    large = [(q, k) for q in queries for k in range(large_views) if k != q]
    keys = sorted({key for _, key in large})
    return large + [(query, key) for query in range(large_views, num_views) for key in keys]


def by_query(pairs: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """Return the key views of each query view."""
    keys: dict[int, list[int]] = {}
    for query, key in pairs:
        keys.setdefault(query, []).append(key)
    return keys


def times_of_view(times: Float64[Tensor, "n f"], view: int) -> Float64[Tensor, " n"]:
    """Return the times of the frames of a view: view v shows frame v modulo F."""
    return times[:, view % times.shape[1]]


def labels_of_own(num: int, device: torch.device) -> Int64[Tensor, " n"]:
    """Return the indices of this process's keys among those of all processes."""
    return torch.arange(num, device=device) + num * distributed.rank()


def repeats_in_batch(source_ids: Int64[Tensor, " n"]) -> Bool[Tensor, "n m"]:
    """Return which keys of the batches of all processes are of a query's source and not its own.

    They are no negatives. A batch has them only where there are fewer sources than pairs in it.
    """
    repeats = source_ids[:, None] == distributed.gather_rows(source_ids)
    return repeats.scatter(1, labels_of_own(len(source_ids), source_ids.device)[:, None], False)


def scale_loss(
    factor: float, loss: Float[Tensor, ""], stats: Stats
) -> tuple[Float[Tensor, ""], Stats]:
    """Return a loss times ``factor``, and its diagnostics with ``loss_minus_chance`` scaled too."""
    scaled = {"loss_minus_chance": stats["loss_minus_chance"] * factor}
    return loss * factor, stats | scaled


def mean_of(
    terms: Iterable[tuple[Float[Tensor, ""], Stats]], counts: Iterable[int] | None = None
) -> tuple[Float[Tensor, ""], Stats]:
    """Return the mean of several losses, and of each of their diagnostics.

    ``counts`` is the number of terms that each loss averages, so that all terms weigh the same.
    """
    losses, stats = zip(*terms, strict=True)
    values = {name: torch.stack([one[name] for one in stats]) for name in stats[0]}
    values["loss"] = torch.stack(losses)
    weights = torch.ones(len(losses)) if counts is None else torch.tensor(list(counts))
    weights = weights.to(values["loss"])
    means = {name: (value * weights).sum() / weights.sum() for name, value in values.items()}
    return means.pop("loss"), means
