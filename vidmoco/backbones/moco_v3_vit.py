"""The vision transformers of MoCo v3 (Chen, Xie, He 2021, section 4 and appendix A), from timm's.

They differ from timm's in three points. The small one has 12 heads and not 6; the shapes are the
same, so the weights load into timm's without an error and give nonsense. The position embedding is
fixed. The initial weights have other distributions.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from vidmoco.shapes import Float

# Our name: the timm model that it is made from, and its options.
STOCK = {
    "vidmoco_vit_small_moco_v3": ("vit_small_patch16_224", {"num_heads": 12}),
    "vidmoco_vit_base_moco_v3": ("vit_base_patch16_224", {}),
}


def register_transformers() -> None:
    """Register them with timm, without pretrained weights."""
    import timm  # here: importing timm imports this module (``timm_hook``)

    for name, (stock, options) in STOCK.items():

        def build(
            pretrained: bool = False,
            stock: str = stock,
            options: dict[str, Any] = options,
            **given: Any,
        ) -> nn.Module:
            if pretrained:
                raise RuntimeError("there are no pretrained weights of this model in timm")
            kept = {key: value for key, value in given.items() if not key.startswith("pretrained")}
            model = timm.create_model(stock, **(options | kept))
            initialize(model)
            return model

        build.__name__ = build.__qualname__ = name
        timm.models.register_model(build)


@torch.no_grad()
def initialize(model: Any) -> None:
    """Give a timm transformer MoCo v3's initial weights and fixed position embedding."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            # Query, key and value are three matrices in one layer.
            fan_out = len(module.weight) // (3 if name.endswith("qkv") else 1)
            bound = math.sqrt(6 / (module.in_features + fan_out))
            module.weight.uniform_(-bound, bound)
            if module.bias is not None:
                module.bias.zero_()
    patches = model.patch_embed.proj
    bound = math.sqrt(6 / (patches.weight[0].numel() + patches.out_channels))
    patches.weight.uniform_(-bound, bound)
    patches.bias.zero_()
    model.cls_token.normal_(std=1e-6)
    height, width = model.patch_embed.grid_size
    model.pos_embed.copy_(position_embedding(height, width, dim=model.embed_dim))
    model.pos_embed.requires_grad_(False)


def position_embedding(height: int, width: int, *, dim: int) -> Float[Tensor, "1 t d"]:
    """Return the sine-cosine embedding of patches, after a row of zeros for the class token.

    Its shape is (1, 1 + height * width, dim). The quarters of dim are sin and cos of the first,
    then sin and cos of the second coordinate, with frequencies 10000^(-4 i / dim). NOTE: as in the
    authors' code the first coordinate, which they call w, is the slow one, that is the row.
    """
    if dim % 4:
        raise ValueError(f"{dim = } is not a multiple of 4")
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    frequencies = 10000.0 ** -(torch.arange(dim // 4) / (dim // 4))
    angles = [place.flatten()[:, None] * frequencies for place in (rows, columns)]
    embedding = torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], 1)
    return torch.cat([torch.zeros(1, dim), embedding])[None]
