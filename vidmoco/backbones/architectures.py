"""Which timm architecture some weights are of, as far as their shapes say."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from vidmoco.backbones.build import is_architecture
from vidmoco.backbones.moco_v3_vit import position_embedding

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
# By dim. Of 192 and 384 papers disagree: 3 or 12 heads, and 6 or 12.
_MOCO_V3_HEADS = {384: 12, 768: 12}
_SAME_EVERYWHERE = {768: 12, 1024: 16}
_MOCO_V3_NAMES = {
    (384, 16): "vidmoco_vit_small_moco_v3",
    (768, 16): "vidmoco_vit_base_moco_v3",
}


@dataclass(frozen=True)
class Guess:
    """What the weights themselves say."""

    architecture: str
    """A timm name; empty: none that is known here."""
    size: int = 0
    """Side of the input in pixels that a transformer's positions are for; 0: of any."""
    heads: int = 0
    """Attention heads of a transformer; 0: nothing tells."""
    how: str = ""
    """How the heads are known."""


def guess_architecture(weights: Mapping[str, Tensor], *, layout: str) -> Guess:
    """Return the architecture of an encoder, by timm's key names, as far as it is known."""
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
    # A 3 x 3 stem says nothing of its padding and pool: solo-learn pads by 2, where MoCo pads by 1.
    is_small = stem == (64, 3, 3, 3) and kind == "resnet{}" and layers in ("18", "50")
    return f"vidmoco_resnet{layers}_32px" if is_small and layout == "moco" else ""


def _transformer(weights: Mapping[str, Tensor], *, layout: str) -> Guess:
    dim, _, patch, _ = weights["patch_embed.proj.weight"].shape
    depth = len({key.split(".")[1] for key in weights if key.startswith("blocks.")})
    side = isqrt(max(weights["pos_embed"].shape[1] - 1, 0))
    how = _how_moco_v3(weights["pos_embed"], dim=dim, side=side, layout=layout)
    size = _TRANSFORMERS.get((dim, depth), "")
    name = f"vit_{size}_patch{patch}_224" if size else ""
    if how:
        heads = _MOCO_V3_HEADS[dim]
        name = _MOCO_V3_NAMES.get((dim, patch), name) if depth == 12 else name
    else:
        heads, how = _heads(dim, layout=layout)
    return Guess(name if is_architecture(name) else "", side * patch, heads, how)


def _how_moco_v3(positions: Tensor, *, dim: int, side: int, layout: str) -> str:
    """Return by what a transformer is known to be one of MoCo v3's; empty: it is not known to be.

    Their position embedding is fixed, so it betrays them in whatever file they are.
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
    """Return the number of heads of any other transformer and how it is known; 0: it is not.

    A file of timm's own names says nothing: a MoCo v3 that was trained on has them too.
    """
    if dim in _SAME_EVERYWHERE:
        return _SAME_EVERYWHERE[dim], "as everywhere"
    return (dim // 64, "DINO's") if layout == "dino" else (0, "")
