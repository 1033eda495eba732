"""Which timm architecture some weights are of, as far as their shapes say."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from vidmoco.errors import CheckpointError
from vidmoco.moco_v3_vit import position_embedding

# (convolutions of a block, blocks of the four stages): layers.
_RESNETS: dict[tuple[int, tuple[int, ...]], str] = {
    (2, (2, 2, 2, 2)): "18",
    (2, (3, 4, 6, 3)): "34",
    (3, (3, 4, 6, 3)): "50",
    (3, (3, 4, 23, 3)): "101",
    (3, (3, 8, 36, 3)): "152",
}
# (channels of the 3 x 3 convolution of the first block, of each of its groups): timm's pattern.
_KINDS = {
    (64, 64): "resnet{}",
    (128, 128): "wide_resnet{}_2",
    (128, 4): "resnext{}_32x4d",
    (256, 8): "resnext{}_32x8d",
}
_TRANSFORMERS = {(192, 12): "tiny", (384, 12): "small", (768, 12): "base", (1024, 24): "large"}
# Transformers of which papers disagree about the heads: dim of MoCo v3's and their number.
_MOCO_V3_HEADS = {384: 12, 768: 12}
_MOCO_V3_NAMES = {
    (384, 16): "vidmoco_vit_small_moco_v3",
    (768, 16): "vidmoco_vit_base_moco_v3",
}


@dataclass(frozen=True)
class Guess:
    """What the weights themselves say."""

    architecture: str
    """A timm name; empty: none that is known here."""
    size: int
    """Side of the input in pixels that a transformer's positions are for; 0: of any."""
    heads: int
    """Attention heads where the weights or their tool tell; 0: they do not."""


def guess_architecture(weights: Mapping[str, Tensor], *, layout: str, source: str) -> Guess:
    """Return the architecture of an encoder, by timm's key names.

    Raises:
        CheckpointError: it is neither a ResNet nor a vision transformer.
    """
    if "conv1.weight" in weights and "layer1.0.conv1.weight" in weights:
        return Guess(_resnet(weights), 0, 0)
    if "patch_embed.proj.weight" in weights and "pos_embed" in weights:
        return _transformer(weights, layout=layout)
    raise CheckpointError(
        f"The encoder of {source} is neither a ResNet nor a vision transformer: its keys begin "
        f"with {', '.join(sorted({key.partition('.')[0] for key in weights})[:8])}. If they are "
        "a projector's, say with --prefix which keys are the backbone's."
    )


def _resnet(weights: Mapping[str, Tensor]) -> str:
    blocks: tuple[int, ...] = tuple(
        len({key.split(".")[1] for key in weights if key.startswith(f"layer{stage}.")})
        for stage in (1, 2, 3, 4)
    )
    convolutions = 3 if "layer1.0.conv3.weight" in weights else 2
    layers = _RESNETS.get((convolutions, blocks))
    channels, of_group = weights["layer1.0.conv2.weight"].shape[:2]
    kind = _KINDS.get((channels, of_group))
    stem = tuple(weights["conv1.weight"].shape)
    if layers is None or kind is None:
        return ""
    if stem == (64, 3, 7, 7):
        return kind.format(layers)
    is_small = stem == (64, 3, 3, 3) and kind == "resnet{}" and layers in ("18", "50")
    return f"vidmoco_resnet{layers}_32px" if is_small else ""


def _transformer(weights: Mapping[str, Tensor], *, layout: str) -> Guess:
    dim, _, patch, _ = weights["patch_embed.proj.weight"].shape
    depth = len({key.split(".")[1] for key in weights if key.startswith("blocks.")})
    side = isqrt(weights["pos_embed"].shape[1] - 1)
    heads = _heads(weights["pos_embed"], dim=dim, side=side, layout=layout)
    size = _TRANSFORMERS.get((dim, depth), "")
    name = f"vit_{size}_patch{patch}_224" if size else ""
    if heads and heads == _MOCO_V3_HEADS.get(dim) and depth == 12:
        name = _MOCO_V3_NAMES.get((dim, patch), name)
    return Guess(name, side * patch, heads)


def _heads(positions: Tensor, *, dim: int, side: int, layout: str) -> int:
    """Return the number of heads, of which the shapes say nothing; 0: not known.

    MoCo v3's position embedding is fixed, so it betrays its transformers in whatever file they are.
    """
    if positions.shape[1] == side * side + 1 and dim % 4 == 0:
        fixed = position_embedding(side, side, dim=dim)
        if torch.allclose(positions.float(), fixed, atol=1e-3):
            return _MOCO_V3_HEADS.get(dim, 0)
    if layout == "moco_v3":
        return _MOCO_V3_HEADS.get(dim, 0)
    return dim // 64 if layout in ("dino", "torchvision") else 0
