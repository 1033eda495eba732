"""The queue of keys: MoCo's dictionary (He et al. 2020, section 3.2)."""

import torch
from torch import Tensor, nn

from vidmoco.shapes import Bool, Float, Float64, Int64


class FeatureQueue(nn.Module):
    """The newest K keys, first in, first out, with the video and the time that each came from.

    It starts with random unit vectors of no source (id -1), as in the authors' code. Any batch size
    goes with any K; a batch larger than K leaves its last K keys. All of it is in the state dict.
    """

    keys: Tensor
    source_ids: Tensor
    times: Tensor
    born: Tensor
    position: Tensor
    batches: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", nn.functional.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("source_ids", torch.full((size,), -1))
        self.register_buffer("times", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("born", torch.full((size,), -1))  # number of its batch; -1: random
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(
        self,
        keys: Float[Tensor, "n c"],
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, " n"],
    ) -> None:
        """Put ``keys`` (N, C) in the place of the oldest ones."""
        size = len(self.keys)
        keys, source_ids, times = keys[-size:], source_ids[-size:], times[-size:]
        # Tensor arithmetic all through: reading the position would wait for the device.
        slots = (self.position + torch.arange(len(keys), device=self.keys.device)) % size
        self.keys.index_copy_(0, slots, keys.to(self.keys.dtype))
        self.source_ids.index_copy_(0, slots, source_ids)
        self.times.index_copy_(0, slots, times)
        self.born.index_copy_(0, slots, self.batches.expand(len(slots)))
        self.position.add_(len(keys)).remainder_(size)
        self.batches.add_(1)

    def same_video(
        self,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, " n"],
        *,
        within: float | None,
    ) -> Bool[Tensor, "n k"]:
        """Return which keys are of the video of each query, and ``within`` seconds of its frame."""
        same = source_ids[:, None] == self.source_ids
        if within is not None:
            same &= (times[:, None] - self.times).abs() <= within
        return same

    def mean_age(self) -> Float[Tensor, ""]:
        """Return how many batches ago the keys came, on average; the random ones do not count."""
        real = self.born >= 0
        return ((self.batches - self.born) * real).sum() / real.sum().clamp(min=1)
