"""The settings of the network that is trained."""

from dataclasses import dataclass
from typing import ClassVar

from vidmoco.config.base import Settings
from vidmoco.config.fields import Expert


@dataclass(frozen=True, kw_only=True)
class BackboneConfig(Settings):
    """The timm model that is trained."""

    SECTION: ClassVar[str] = "backbone"

    name: str = "resnet50"
    """A timm model name (`timm.list_models()` shows them)."""
    pretrained: bool = False
    """Start from timm's pretrained weights (a download) instead of random ones."""
    zero_init_residual: Expert[bool] = False
    """Start each residual branch of a ResNet at zero (MoCo v3, Fast-MoCo; v1 and v2 do not)."""
    freeze_patches: Expert[bool] = False
    """Leave the patch embedding of a transformer as it is at the start (MoCo v3)."""
