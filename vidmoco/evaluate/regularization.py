"""The augmentations and regularisations with which DeiT trains vision transformers.

Touvron et al. 2021, "Training data-efficient image transformers & distillation through attention",
table 9, with the values of the released code. RandAugment, random erasing and drop path are timm's,
as in that code; mixup and CutMix are torchvision's.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from timm.data.auto_augment import rand_augment_transform
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import str_to_pil_interp
from timm.layers import DropPath
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.errors import ConfigError
from vidmoco.shapes import Float, Int64, UInt8

_SHARE_OF_CUTMIX = 0.5  # of the batches; the others are mixed by mixup


@dataclass(frozen=True, kw_only=True)
class Regularization:
    """What makes the training of a transformer on few images generalise."""

    rand_augment: str = "rand-m9-mstd0.5-inc1"
    """RandAugment in timm's notation."""
    erasing: float = 0.25
    """Probability that a part of an image becomes noise."""
    mixup: float = 0.8
    """Alpha of mixup."""
    cutmix: float = 1.0
    """Alpha of CutMix."""
    label_smoothing: float = 0.1
    drop_path: float = 0.1
    """Probability that the last block is left out; it grows linearly from 0 in the first."""
    copies: int = 3
    """Repeated augmentation: a batch has so many views of each of its images."""


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators, and restore them afterwards."""
    used = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=used):
        torch.manual_seed(seed)
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch, and restore them afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch_seeded(seed):
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def rand_augmented(
    image: UInt8[Tensor, "3 s s"], regularization: Regularization, preprocess: Preprocess
) -> UInt8[Tensor, "3 s s"]:
    """Return an image changed by random operations, which draw from the global generators."""
    mean = tuple(min(255, round(255 * value)) for value in preprocess.mean)
    options = {
        "translate_const": int(image.shape[-1] * 0.45),
        "img_mean": mean,
        "interpolation": str_to_pil_interp(preprocess.interpolation),
    }
    transform = rand_augment_transform(regularization.rand_augment, options)
    changed: Tensor = pil_to_tensor(transform(to_pil_image(image)))
    return changed


def erased_and_mixed(
    images: Float[Tensor, "n 3 s s"],
    labels: Int64[Tensor, " n"],
    regularization: Regularization,
    *,
    num_classes: int,
) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, "n c"]]:
    """Return normalised images with erased parts, mixed in pairs, and their shares of the classes.

    Everything is drawn from the global generators.
    """
    erase = RandomErasing(regularization.erasing, mode="pixel", device=str(images.device))
    # Else the neighbour that torchvision mixes an image with is most often another view of it.
    order = torch.randperm(len(images)).to(images.device)
    images, labels = erase(images)[order], labels[order]
    cutmix = bool(torch.rand(()) < _SHARE_OF_CUTMIX)
    mix = (
        v2.CutMix(alpha=regularization.cutmix, num_classes=num_classes)
        if cutmix
        else v2.MixUp(alpha=regularization.mixup, num_classes=num_classes)
    )
    mixed: tuple[Tensor, Tensor] = mix(images, labels)
    return mixed


def require_blocks(candidate: FrozenBackbone) -> None:
    """Check that a backbone has blocks that drop path can leave out.

    Raises:
        ConfigError: it is no vision transformer of timm.
    """
    if not _blocks_of(candidate.backbone):
        raise ConfigError(
            f"--finetune-recipe deit is for vision transformers, and {candidate.name} is a "
            f"{candidate.architecture}. Leave the recipe out: --finetune all then is SimCLR's."
        )


def add_drop_path(backbone: nn.Module, rate: float) -> None:
    """Let training leave out blocks of a vision transformer at random (stochastic depth)."""
    blocks = _blocks_of(backbone)
    for block, probability in zip(blocks, np.linspace(0, rate, len(blocks)), strict=True):
        block.drop_path1 = DropPath(float(probability))
        block.drop_path2 = DropPath(float(probability))


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return a model's parameters in groups for an optimiser: those that decay, and the others.

    Vectors and what timm names for its network (position embeddings, class tokens) do not decay.
    """
    names: set[str] = getattr(model.backbone, "no_weight_decay", set)()
    return list(
        param_groups_weight_decay(
            model, weight_decay, no_weight_decay_list=[f"backbone.{name}" for name in names]
        )
    )


def _blocks_of(backbone: nn.Module) -> list[nn.Module]:
    return [block for block in backbone.modules() if hasattr(block, "drop_path1")]
