"""Register the user's backbones with timm, without importing timm.

``import vidmoco`` must make ``timm.create_model("vidmoco_…")`` work, whichever of the two is
imported first, and ``vidmoco --help`` must not wait seconds for timm. So if timm is not loaded yet,
an import hook registers the backbones once its import is done.
"""

import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def register_with_timm() -> None:
    """Register every exported backbone now if timm is loaded, else when it is imported."""
    if "timm" in sys.modules:
        _register()
    elif not any(isinstance(finder, _TimmWatcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TimmWatcher())


def _register() -> None:
    import vidmoco.backbones.registry  # noqa: F401  (its import registers them)


class _TimmWatcher(MetaPathFinder):
    """Finds timm only, and gives it a loader that registers the backbones afterwards."""

    def find_spec(
        self,
        fullname: str,
        path: Any,  # a list of folders, or a namespace package's path object
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != "timm":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader)
        return spec


class _ThenRegister(Loader):
    """Loads a module by its own loader, then registers the backbones."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _register()
