"""How many frames go through a backbone at once."""

import torch

from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.errors import ConfigError

_ON_CPU = 64  # assumption: enough for the cores; more costs memory only
_LARGEST = 1024  # assumption: no GPU is faster with more


def default_batch_size(frozen: FrozenBackbone) -> int:
    """Return 64 on a CPU, and on CUDA as many as fit."""
    return _ON_CPU if frozen.device.type == "cpu" else find_batch_size(frozen)


def find_batch_size(frozen: FrozenBackbone, *, largest: int = _LARGEST) -> int:
    """Return the largest power of two of images that fit in one pass, by trying black ones.

    A quarter more is tried: room for the images of the next batch, which are copied meanwhile, and
    for gaps between blocks of memory.

    Args:
        frozen: On the device that is to be tried.
        largest: A power of two, the first size that is tried.

    Raises:
        ConfigError: Not even one image fits.
    """
    size, device = frozen.preprocess.size, frozen.device
    batch_size = largest
    while batch_size >= 1:
        try:
            images = torch.zeros(batch_size + batch_size // 4, 3, size, size, dtype=torch.uint8)
            frozen.features(images.to(device)).cpu()
            return batch_size
        except torch.OutOfMemoryError:
            batch_size //= 2
        if device.type == "cuda":
            torch.cuda.empty_cache()  # what the larger trial held is no use to a smaller one
    raise ConfigError(
        f"Not even one image of {size} x {size} pixels fits into the memory of {device} "
        "beside the backbone. Give a smaller --size, --device cpu, or free the device."
    )
