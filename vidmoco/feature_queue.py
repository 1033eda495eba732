"""The queue of keys: MoCo's dictionary (He et al. 2020, section 3.2)."""

import torch
from torch import Tensor, nn

from vidmoco.shapes import Float, Int64


class FeatureQueue(nn.Module):
    """The newest K keys, first in, first out, with the source (video) that each came from.

    It starts with random unit vectors of no source (id -1), as in the authors' code. Any batch size
    goes with any K; a batch larger than K leaves its last K keys. All of it is in the state dict.
    """

    keys: Tensor
    source_ids: Tensor
    position: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", nn.functional.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("source_ids", torch.full((size,), -1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, keys: Float[Tensor, "n c"], source_ids: Int64[Tensor, " n"]) -> None:
        """Put ``keys`` (N, C) in the place of the oldest ones."""
        size = len(self.keys)
        keys, source_ids = keys[-size:], source_ids[-size:]
        # Tensor arithmetic all through: reading the position would wait for the device.
        slots = (self.position + torch.arange(len(keys), device=self.keys.device)) % size
        self.keys.index_copy_(0, slots, keys.to(self.keys.dtype))
        self.source_ids.index_copy_(0, slots, source_ids)
        self.position.add_(len(keys)).remainder_(size)
