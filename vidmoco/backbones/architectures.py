"""Recognise the timm architecture of some weights by their shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import torch
from timm.models import is_model
from torch import Tensor

from vidmoco.backbones.moco_v3_vit import position_embedding

# (convolutions per block, blocks of the four stages): number of layers.
_RESNETS: dict[tuple[int, tuple[int, ...]], str] = {
    (2, (2, 2, 2, 2)): "18",
    (2, (3, 4, 6, 3)): "34",
    (3, (3, 4, 6, 3)): "50",
    (3, (3, 4, 23, 3)): "101",
    (3, (3, 8, 36, 3)): "152",
}
# (channels of the first block's 3 x 3 convolution, channels per group): timm's name.
_KINDS = {
    (64, 64): "resnet{}",
    (128, 128): "wide_resnet{}_2",
    (128, 4): "resnext{}_32x4d",
    (256, 8): "resnext{}_32x8d",
}
# (width, depth): size.
_TRANSFORMERS = {(192, 12): "tiny", (384, 12): "small", (768, 12): "base", (1024, 24): "large"}
# Heads by width. Papers disagree about 192 (3 or 12 heads) and 384 (6 or 12).
_MOCO_V3_HEADS = {384: 12, 768: 12}
_SAME_EVERYWHERE = {768: 12, 1024: 16}
_MOCO_V3_NAMES = {
    (384, 16): "vidmoco_vit_small_moco_v3",
    (768, 16): "vidmoco_vit_base_moco_v3",
}


@dataclass(frozen=True)
class Guess:
    """What the weights say about their network."""

    architecture: str
    """A timm name, or an empty string if it is unknown."""
    size: int = 0
    """Input side in pixels that a transformer's positions are for; 0 for other networks."""
    heads: int = 0
    """Attention heads of a transformer; 0 if they are unknown."""
    how: str = ""
    """How the heads are known."""


def guess_architecture(weights: Mapping[str, Tensor], *, layout: str) -> Guess:
    """Return what is known of an encoder's architecture; ``weights`` have timm's key names."""
    stem = weights.get("conv1.weight")
    second = weights.get("layer1.0.conv2.weight")
    if stem is not None and stem.ndim == 4 and second is not None and second.ndim == 4:
        return Guess(_resnet(weights, layout=layout))
    patches, positions = weights.get("patch_embed.proj.weight"), weights.get("pos_embed")
    if patches is None or positions is None or patches.ndim != 4 or positions.ndim != 3:
        return Guess("")
    return _transformer(weights, layout=layout)


def _resnet(weights: Mapping[str, Tensor], *, layout: str) -> str:
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
    # A 3 x 3 stem does not tell its padding and pooling: solo-learn pads by 2, MoCo by 1.
    is_small = stem == (64, 3, 3, 3) and kind == "resnet{}" and layers in ("18", "50")
    return f"vidmoco_resnet{layers}_32px" if is_small and layout == "moco" else ""


def _transformer(weights: Mapping[str, Tensor], *, layout: str) -> Guess:
    dim, _, patch, _ = weights["patch_embed.proj.weight"].shape
    depth = len({key.split(".")[1] for key in weights if key.startswith("blocks.")})
    count = weights["pos_embed"].shape[1]
    side = isqrt(max(count - 1, 0))  # a class token
    if count > 1 and isqrt(count) ** 2 == count:  # positions of the patches alone
        side = isqrt(count)
    how = _moco_v3_sign(weights["pos_embed"], dim=dim, side=side, layout=layout)
    size = _TRANSFORMERS.get((dim, depth), "")
    name = f"vit_{size}_patch{patch}_224" if size else ""
    if how:
        heads = _MOCO_V3_HEADS[dim]
        name = _MOCO_V3_NAMES.get((dim, patch), name) if depth == 12 else name
    else:
        heads, how = _heads(dim, layout=layout)
    return Guess(name if is_model(name) else "", side * patch, heads, how)


def _moco_v3_sign(positions: Tensor, *, dim: int, side: int, layout: str) -> str:
    """Return what shows that a transformer is one of MoCo v3's, or an empty string.

    Their position embedding is fixed, so it identifies them in any file.
    """
    if dim not in _MOCO_V3_HEADS:
        return ""
    is_plain = positions.layout is torch.strided and not positions.is_meta
    if is_plain and side and positions.shape == (1, side * side + 1, dim):
        fixed = position_embedding(side, side, dim=dim)
        if torch.allclose(positions.float(), fixed, atol=1e-3):
            return "its position embedding is MoCo v3's"
    return "MoCo v3's" if layout == "moco_v3" else ""


def _heads(dim: int, *, layout: str) -> tuple[int, str]:
    """Return the number of heads of any other transformer (0 if unknown) and how it is known.

    timm's key names prove nothing: a MoCo v3 that was trained further has them too.
    """
    if dim in _SAME_EVERYWHERE:
        return _SAME_EVERYWHERE[dim], "as everywhere"
    return (dim // 64, "DINO's") if layout == "dino" else (0, "")
