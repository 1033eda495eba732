"""Settings of the backbone."""

from dataclasses import dataclass
from typing import ClassVar

from vidmoco.config.base import Settings
from vidmoco.config.fields import Expert


@dataclass(frozen=True, kw_only=True)
class BackboneConfig(Settings):
    """The timm model that is trained."""

    SECTION: ClassVar[str] = "backbone"

    name: str = "resnet50"
    """A timm model name; `timm.list_models()` lists them."""
    pretrained: bool = False
    """Start from timm's pretrained weights (a download) instead of random ones."""
    zero_init_residual: Expert[bool] = False
    """Initialise the last batch norm of each residual block of a ResNet to zero, as in MoCo v3 and
    Fast-MoCo. MoCo v1 and v2 do not."""
    freeze_patches: Expert[bool] = False
    """Keep the patch embedding of a transformer at its initial weights, as in MoCo v3."""
