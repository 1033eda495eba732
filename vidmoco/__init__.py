"""vidmoco: image backbones from unlabelled video, by Momentum Contrast.

``import vidmoco`` registers your exported backbones with timm (``timm.list_models("vidmoco_*")``),
at once or when timm is imported. The names below are loaded at their first use, so that the command
line can print its help without loading torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vidmoco.backbones.timm_hook import register_with_timm

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vidmoco.backbones.build import load_backbone
    from vidmoco.backbones.registry import export_backbone, register_backbone
    from vidmoco.config.recipe import load_recipe
    from vidmoco.features.extract import extract_video
    from vidmoco.train.pretrain import pretrain

_MODULES = {
    "export_backbone": "vidmoco.backbones.registry",
    "extract_video": "vidmoco.features.extract",
    "load_backbone": "vidmoco.backbones.build",
    "load_recipe": "vidmoco.config.recipe",
    "pretrain": "vidmoco.train.pretrain",
    "register_backbone": "vidmoco.backbones.registry",
}

__all__ = [
    "__version__",
    "export_backbone",
    "extract_video",
    "load_backbone",
    "load_recipe",
    "pretrain",
    "register_backbone",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'vidmoco' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


register_with_timm()
