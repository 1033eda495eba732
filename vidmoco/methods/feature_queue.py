"""The queue of keys: MoCo's dictionary (He et al. 2020, section 3.2)."""

import torch
from torch import Tensor, nn

from vidmoco.shapes import Bool, Float, Float64, Int64


class FeatureQueue(nn.Module):
    """The newest K keys, first in, first out, with the video and time of each.

    The queue starts with random unit vectors without a video (id -1), as in the authors' code. K
    need not be a multiple of the batch size; of a batch larger than K, the last K keys stay. All
    state is in the state dict.
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
        self.register_buffer("born", torch.full((size,), -1))  # the key's batch; -1 if random
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(
        self,
        keys: Float[Tensor, "n c"],
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, " n"],
    ) -> None:
        """Replace the oldest keys by ``keys`` (N, C)."""
        size = len(self.keys)
        keys, source_ids, times = keys[-size:], source_ids[-size:], times[-size:]
        # The position stays a tensor: to read it, the host would wait for the device.
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
        """Return which keys are of each query's video, and ``within`` seconds of its frame."""
        same = source_ids[:, None] == self.source_ids
        if within is not None:
            same &= (times[:, None] - self.times).abs() <= within
        return same

    def mean_age(self) -> Float[Tensor, ""]:
        """Return the mean age of the keys in batches. Random ones do not count."""
        real = self.born >= 0
        return ((self.batches - self.born) * real).sum() / real.sum().clamp(min=1)
