"""The class token or the patch tokens of a timm model, in place of its pooled output."""

from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from vidmoco.errors import ConfigError
from vidmoco.shapes import Float

FeatureKind = Literal["pooled", "cls", "patches"]


class Tokens(nn.Module):
    """Maps images (N, 3, S, S) to class tokens (N, D), or to patch tokens (N, P, D).

    Patch tokens are timm's ``forward_features`` without the class and register tokens. For a
    network whose last map is (N, D, H, W), they are its H * W places, row by row.
    """

    def __init__(self, backbone: Any, kind: Literal["cls", "patches"], *, name: str) -> None:
        """Wrap a timm model in evaluation mode; ``name`` is its name for errors.

        Raises:
            ConfigError: the model has no such tokens.
        """
        super().__init__()
        if not hasattr(backbone, "forward_features"):
            raise ConfigError(f"Backbone {name} has no tokens: it is no model of timm (--feature).")
        if kind == "cls" and getattr(backbone, "cls_token", None) is None:
            raise ConfigError(
                f"Backbone {name} has no class token (--feature cls). Give --feature pooled or "
                "patches."
            )
        self.backbone, self.kind, self.name = backbone, kind, name
        self.num_prefix_tokens = int(getattr(backbone, "num_prefix_tokens", 0))
        self.channels_last = getattr(backbone, "output_fmt", "NCHW") == "NHWC"
        self.eval()

    def forward(self, images: Float[Tensor, "n 3 s s"]) -> Tensor:
        """Return the tokens of normalised images."""
        tokens: Tensor = self.backbone.forward_features(images)
        if self.kind == "cls":
            return tokens[:, 0]
        if tokens.ndim == 4:
            axes = "n h w d" if self.channels_last else "n d h w"
            return rearrange(tokens, f"{axes} -> n (h w) d")
        return tokens[:, self.num_prefix_tokens :]

    @torch.inference_mode()
    def shape(self, size: int) -> tuple[int, int]:
        """Return (P, D) for images of ``size`` pixels; P is 0 for a class token.

        Raises:
            ConfigError: the tokens have another shape.
        """
        shape = tuple(self(torch.zeros(1, 3, size, size)).shape)
        if len(shape) != (2 if self.kind == "cls" else 3) or 0 in shape:
            raise ConfigError(
                f"Backbone {self.name} gives {shape} for one image (--feature {self.kind}); "
                f"expected {'(1, D)' if self.kind == 'cls' else '(1, P, D)'}. Give --feature "
                "pooled."
            )
        return (0 if self.kind == "cls" else shape[1]), shape[-1]
