"""Translate the key names of other tools to timm's and back.

torchvision's ResNets have timm's names. ResNets made into an ``nn.Sequential`` have numbers in
place of names. The transformers of mmselfsup and torchvision have other names, those of DINOv2 a
few.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

Names = tuple[tuple[str, str], ...]
"""Pairs of the tool's name and timm's name; ``{}`` is the number of a block."""

_MM: Names = (
    ("patch_embed.projection", "patch_embed.proj"),
    ("layers.{}.ln1", "blocks.{}.norm1"),
    ("layers.{}.ln2", "blocks.{}.norm2"),
    ("layers.{}.attn", "blocks.{}.attn"),
    ("layers.{}.ffn.layers.0.0", "blocks.{}.mlp.fc1"),
    ("layers.{}.ffn.layers.1", "blocks.{}.mlp.fc2"),
    ("ln1", "norm"),
)
_LAYER = "encoder.layers.encoder_layer_{}"
_TORCHVISION: Names = (
    ("class_token", "cls_token"),
    ("conv_proj", "patch_embed.proj"),
    ("encoder.pos_embedding", "pos_embed"),
    ("encoder.ln", "norm"),
    (f"{_LAYER}.ln_1", "blocks.{}.norm1"),
    (f"{_LAYER}.ln_2", "blocks.{}.norm2"),
    (f"{_LAYER}.self_attention.in_proj_weight", "blocks.{}.attn.qkv.weight"),
    (f"{_LAYER}.self_attention.in_proj_bias", "blocks.{}.attn.qkv.bias"),
    (f"{_LAYER}.self_attention.out_proj", "blocks.{}.attn.proj"),
    (f"{_LAYER}.mlp.0", "blocks.{}.mlp.fc1"),
    (f"{_LAYER}.mlp.3", "blocks.{}.mlp.fc2"),
)
_OLD_TORCHVISION: Names = (
    (f"{_LAYER}.mlp.linear_1", "blocks.{}.mlp.fc1"),
    (f"{_LAYER}.mlp.linear_2", "blocks.{}.mlp.fc2"),
)
# Of official files: registers, and the gated MLP of the giant network.
_DINOV2: Names = (
    ("register_tokens", "reg_token"),
    ("blocks.{}.mlp.w12", "blocks.{}.mlp.fc1"),
    ("blocks.{}.mlp.w3", "blocks.{}.mlp.fc2"),
)


def timm_names(keys: Iterable[str]) -> dict[str, str]:
    """Return timm's name for each key; an unknown key keeps its name."""
    keys = list(keys)
    if any(key.startswith("patch_embed.projection.") for key in keys):
        return {key: _renamed(key, _MM) for key in keys}
    if any(key.startswith("conv_proj.") for key in keys):
        return {key: _renamed(key, _TORCHVISION + _OLD_TORCHVISION) for key in keys}
    if any(key == "register_tokens" or ".mlp.w12." in key for key in keys):
        return {key: _renamed(key, _DINOV2) for key in keys}
    names = _sequential_names(keys)
    renamed = {}
    for key in keys:
        first, dot, rest = key.partition(".")
        renamed[key] = names.get(first, first) + dot + rest
    return renamed


def torchvision_names(keys: Iterable[str]) -> dict[str, str]:
    """Return torchvision's name for each of timm's keys of a ResNet or a transformer."""
    from_timm = tuple((timm, torchvision) for torchvision, timm in _TORCHVISION)
    return {key: _renamed(key, from_timm) for key in keys}


_SHOWN = 4  # names of a kind


def few_of(what: str, names: Sequence[str]) -> str:
    """Return ``"what: a, b … and 3 more; "``, or an empty string if there are no names."""
    if not names:
        return ""
    more = f" … and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what}: {', '.join(names[:_SHOWN])}{more}; "


def differences(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Return the first keys that are missing, left over or of another shape, or ""."""
    shapes = [
        f"{key} {tuple(found[key].shape)} for {tuple(wanted[key].shape)}"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    return (
        few_of("missing", [key for key in wanted if key not in found])
        + few_of("left over", [key for key in found if key not in wanted])
        + few_of("of another shape", shapes)
    )


def _renamed(key: str, names: Names) -> str:
    for old, new in names:
        pattern = re.escape(old).replace(r"\{\}", r"(\d+)") + r"(?=\.|$)"
        if found := re.match(pattern, key):
            return new.format(*found.groups()) + key[found.end() :]
    return key


def _sequential_names(keys: list[str]) -> dict[str, str]:
    """Return timm's names for the numbered children of a ResNet in an ``nn.Sequential``.

    The first child is the convolution and the second its batch norm. Children with blocks are the
    stages, whatever lies between (a pool, a ReLU). What follows them is the last layer.
    """
    numbers = {int(m[1]) for key in keys if (m := re.match(r"(\d+)\.", key))}
    stages = sorted({int(m[1]) for key in keys if (m := re.match(r"(\d+)\.\d+\.conv1\.", key))})
    if "0.weight" not in keys or len(stages) != 4:
        return {}
    layers = {str(number): f"layer{stage}" for stage, number in enumerate(stages, start=1)}
    last = {str(number): "fc" for number in numbers if number > stages[-1]}
    return {"0": "conv1", "1": "bn1"} | layers | last
