"""The vision transformers of MoCo v3 (Chen, Xie, He 2021, section 4 and appendix A), from timm's.

They differ from timm's in three points. The small one has 12 heads and not 6; the shapes are the
same, so the weights load into timm's without an error and give nonsense. The position embedding is
fixed. The initial weights have other distributions.
"""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from vidmoco.shapes import Float

# Our name: the timm model that it is made from, and its options.
STOCK = {
    "vidmoco_vit_small_moco_v3": ("vit_small_patch16_224", {"num_heads": 12}),
    "vidmoco_vit_base_moco_v3": ("vit_base_patch16_224", {}),
}
# With a stem of convolutions in place of the twelfth block. Saved ones need ``import vidmoco``.
CONV_STEM = {
    "vidmoco_vit_conv_small_moco_v3": ("vit_small_patch16_224", {"num_heads": 12, "depth": 11}),
    "vidmoco_vit_conv_base_moco_v3": ("vit_base_patch16_224", {"depth": 11}),
}


def register_transformers() -> None:
    """Register them with timm, without pretrained weights."""
    import timm  # here: importing timm imports this module (``timm_hook``)
    from timm.models.vision_transformer import checkpoint_filter_fn

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
    for name, (stock, options) in CONV_STEM.items():

        def build_with_stem(
            pretrained: bool = False,
            pretrained_cfg: Any = None,
            name: str = name,
            stock: str = stock,
            options: dict[str, Any] = options,
            **given: Any,
        ) -> nn.Module:
            if pretrained and pretrained_cfg is None:
                raise RuntimeError("there are no pretrained weights of this model in timm")
            overlay = given.get("pretrained_cfg_overlay") or {}
            kept = {key: value for key, value in given.items() if not key.startswith("pretrained")}
            model: Any = timm.create_model(
                stock,
                pretrained_cfg=pretrained_cfg,
                pretrained_cfg_overlay=overlay or None,
                **(options | kept),
            )
            initialize(model)
            model.patch_embed.proj = conv_stem(model.embed_dim)
            ours = {"architecture": name, "first_conv": None}
            model.pretrained_cfg = {**dict(model.pretrained_cfg), **ours}
            if pretrained:
                timm.models.load_pretrained(
                    model, num_classes=model.num_classes, filter_fn=checkpoint_filter_fn
                )
            return model  # type: ignore[no-any-return]

        build_with_stem.__name__ = build_with_stem.__qualname__ = name
        timm.models.register_model(build_with_stem)


def conv_stem(dim: int) -> nn.Sequential:
    """Return four 3 x 3 convolutions of stride 2, and one of 1 x 1, in place of 16 x 16 patches.

    Xiao et al., "Early Convolutions Help Transformers See Better", 2021, as in MoCo v3's code: it
    needs no frozen patch embedding. Its weights keep torch's own initialisation, as there.
    """
    widths = [3, *(dim // 8 * 2**n for n in range(4))]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], dim, 1))


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
