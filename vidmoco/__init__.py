"""vidmoco: image backbones from unlabelled video, by Momentum Contrast.

Importing it registers your exported backbones with timm (``timm.list_models("vidmoco_*")``), now or
when timm itself is imported. The names below are loaded at their first use, so that the command
line can print its help without loading torch.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vidmoco.backbones.timm_hook import register_with_timm

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vidmoco.api.arrays import evaluate_features
    from vidmoco.api.backbones import save_backbone
    from vidmoco.api.embed import embed
    from vidmoco.api.features import evaluate, extract, search
    from vidmoco.api.frames import read_frames
    from vidmoco.api.runs import Run, load_run, pretrain
    from vidmoco.backbones.build import load_backbone
    from vidmoco.backbones.frozen import load_frozen
    from vidmoco.backbones.registry import export_backbone, register_backbone
    from vidmoco.config.recipe import load_recipe
    from vidmoco.data.frame_pairs import FramePairs
    from vidmoco.features.extract import extract_video
    from vidmoco.features.feature_set import open_features

_HOMES = {
    "FramePairs": "vidmoco.data.frame_pairs",
    "Run": "vidmoco.api.runs",
    "embed": "vidmoco.api.embed",
    "evaluate_features": "vidmoco.api.arrays",
    "export_backbone": "vidmoco.backbones.registry",
    "extract": "vidmoco.api.features",
    "extract_video": "vidmoco.features.extract",
    "load_backbone": "vidmoco.backbones.build",
    "load_frozen": "vidmoco.backbones.frozen",
    "load_recipe": "vidmoco.config.recipe",
    "load_run": "vidmoco.api.runs",
    "open_features": "vidmoco.features.feature_set",
    "pretrain": "vidmoco.api.runs",
    "read_frames": "vidmoco.api.frames",
    "register_backbone": "vidmoco.backbones.registry",
    "save_backbone": "vidmoco.api.backbones",
    "search": "vidmoco.api.features",
}

__all__ = [
    "FramePairs",
    "Run",
    "__version__",
    "embed",
    "evaluate",
    "evaluate_features",
    "export_backbone",
    "extract",
    "extract_video",
    "load_backbone",
    "load_frozen",
    "load_recipe",
    "load_run",
    "open_features",
    "pretrain",
    "read_frames",
    "register_backbone",
    "save_backbone",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vidmoco' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


class _CallableFolder(ModuleType):
    # ``vidmoco.evaluate`` is a folder of modules, and the function too, whatever is imported.

    @property
    def __wrapped__(self) -> Any:
        return import_module("vidmoco.api.features").evaluate

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return self.__wrapped__.__doc__

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.__wrapped__(*args, **options)

    def __reduce__(self) -> Any:  # modules cannot be pickled, and functions can
        return import_module, (self.__name__,)


import_module("vidmoco.evaluate").__class__ = _CallableFolder
register_with_timm()
