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
    """The network: a timm name (`timm.list_models()` lists them), with random weights; or a run
    folder, a backbone folder, `hf-hub:OWNER/NAME` or a timm name with a tag, with their weights."""
    weights: str | None = None
    """Start from the weights of a run folder, a backbone folder, `hf-hub:OWNER/NAME`, or a timm
    name (a download). They must be of the network that --backbone.name names."""
    pretrained: Expert[bool] = False
    """The same as --backbone.weights with the name of --backbone.name."""
    zero_init_residual: Expert[bool] = False
    """Initialise the last batch norm of each residual block of a ResNet to zero, as in MoCo v3 and
    Fast-MoCo. MoCo v1 and v2 do not."""
    freeze_patches: Expert[bool] = False
    """Keep the patch embedding of a transformer at its initial weights, as in MoCo v3."""

    def __post_init__(self) -> None:
        self._require(
            not (self.pretrained and self.weights is not None),
            "pretrained",
            "False with --backbone.weights",
        )

    @property
    def start(self) -> str | None:
        """The weights to start from, or None for those that the name brings."""
        return self.name if self.pretrained else self.weights
