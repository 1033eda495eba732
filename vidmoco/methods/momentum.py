"""The momentum update of the key encoder (He et al. 2020, equation 2)."""

import math
from typing import Literal

import torch
from torch import nn


@torch.no_grad()
def update_momentum(key: nn.Module, query: nn.Module, *, m: float) -> None:
    """Set each parameter of ``key`` to m * key + (1 - m) * query, in place.

    The key encoder keeps its own buffers, as in the authors' code: its batch-norm statistics come
    from the keys that it sees.
    """
    torch._foreach_lerp_(list(key.parameters()), list(query.parameters()), 1 - m)


def momentum_at(progress: float, *, m: float, schedule: Literal["constant", "cosine"]) -> float:
    """Return m at ``progress``, the finished fraction of the training.

    ``cosine`` grows from ``m`` to 1: 1 - (1 - m) (1 + cos(pi progress)) / 2 (Grill et al. 2020,
    "Bootstrap your own latent", section 3.2; MoCo v3).
    """
    if schedule == "constant":
        return m
    return 1 - (1 - m) * (1 + math.cos(math.pi * progress)) / 2
