"""The momentum update of the key encoder (He et al. 2020, equation 2)."""

import torch
from torch import nn


@torch.no_grad()
def update_momentum(key: nn.Module, query: nn.Module, *, m: float) -> None:
    """Set each parameter of ``key`` to m * key + (1 - m) * query, in place.

    Parameters only. Buffers stay the key encoder's own, as in the authors' code: its batch-norm
    statistics come from the keys it sees.
    """
    torch._foreach_lerp_(list(key.parameters()), list(query.parameters()), 1 - m)
