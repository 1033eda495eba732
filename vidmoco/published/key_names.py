"""The names that tools give to the weights of one network, to and from timm's.

torchvision's ResNets have timm's names. The ResNets of ``nn.Sequential`` have numbers in place of
names; the transformers of mmselfsup and torchvision have names of their own.
"""

import re
from collections.abc import Iterable, Mapping

# Pattern in the other tool: name in timm; the first that matches counts.
_MM = (
    (r"patch_embed\.projection\.", "patch_embed.proj."),
    (r"layers\.(\d+)\.ln([12])\.", r"blocks.\1.norm\2."),
    (r"layers\.(\d+)\.attn\.", r"blocks.\1.attn."),
    (r"layers\.(\d+)\.ffn\.layers\.0\.0\.", r"blocks.\1.mlp.fc1."),
    (r"layers\.(\d+)\.ffn\.layers\.1\.", r"blocks.\1.mlp.fc2."),
    (r"ln1\.", "norm."),
)
_TORCHVISION = (
    (r"class_token$", "cls_token"),
    (r"conv_proj\.", "patch_embed.proj."),
    (r"encoder\.pos_embedding$", "pos_embed"),
    (r"encoder\.ln\.", "norm."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.ln_([12])\.", r"blocks.\1.norm\2."),
    (
        r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_(weight|bias)$",
        r"blocks.\1.attn.qkv.\2",
    ),
    (r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\.", r"blocks.\1.attn.proj."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\.", r"blocks.\1.mlp.fc1."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\.", r"blocks.\1.mlp.fc2."),
)
_TO_TORCHVISION = (
    (r"cls_token$", "class_token"),
    (r"patch_embed\.proj\.", "conv_proj."),
    (r"pos_embed$", "encoder.pos_embedding"),
    (r"norm\.", "encoder.ln."),
    (r"blocks\.(\d+)\.norm([12])\.", r"encoder.layers.encoder_layer_\1.ln_\2."),
    (
        r"blocks\.(\d+)\.attn\.qkv\.(weight|bias)$",
        r"encoder.layers.encoder_layer_\1.self_attention.in_proj_\2",
    ),
    (r"blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.encoder_layer_\1.self_attention.out_proj."),
    (r"blocks\.(\d+)\.mlp\.fc1\.", r"encoder.layers.encoder_layer_\1.mlp.0."),
    (r"blocks\.(\d+)\.mlp\.fc2\.", r"encoder.layers.encoder_layer_\1.mlp.3."),
)


def timm_names(keys: Iterable[str]) -> dict[str, str]:
    """Return timm's name for each key; what is not known keeps its own."""
    keys = list(keys)
    if any(key.startswith("patch_embed.projection.") for key in keys):
        return {key: _renamed(key, _MM) for key in keys}
    if any(key.startswith("conv_proj.") for key in keys):
        return {key: _renamed(key, _TORCHVISION) for key in keys}
    numbers = _numbers_of_stages(keys)
    return {key: _named(key, numbers) for key in keys}


def torchvision_names(keys: Iterable[str]) -> dict[str, str]:
    """Return torchvision's name for each of timm's keys of a ResNet or a transformer."""
    return {key: _renamed(key, _TO_TORCHVISION) for key in keys}


def _renamed(key: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, name in rules:
        if found := re.match(pattern, key):
            return found.expand(name) + key[found.end() :]
    return key


def _numbers_of_stages(keys: list[str]) -> dict[str, str]:
    """Return the names of the children of a ResNet that was made into an ``nn.Sequential``.

    The first is the convolution and the next its batch norm; those with blocks are the stages,
    whatever was left out between (a pool, a ReLU); what comes after them is the last layer.
    """
    numbers = {int(m[1]) for key in keys if (m := re.match(r"(\d+)\.", key))}
    stages = sorted({int(m[1]) for key in keys if (m := re.match(r"(\d+)\.\d+\.conv1\.", key))})
    if "0.weight" not in keys or len(stages) != 4:
        return {}
    named = {str(number): f"layer{place}" for place, number in enumerate(stages, start=1)}
    last = {str(number): "fc" for number in numbers if number > stages[-1]}
    return {"0": "conv1", "1": "bn1"} | named | last


def _named(key: str, numbers: Mapping[str, str]) -> str:
    first, dot, rest = key.partition(".")
    return numbers.get(first, first) + dot + rest
