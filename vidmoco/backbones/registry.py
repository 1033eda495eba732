"""Register the user's exported backbones and the papers' architectures with timm.

Importing this module registers them.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import timm
from timm.models import is_model, is_model_in_modules
from torch import nn

from vidmoco.atomic_file import atomic_write
from vidmoco.backbones.folder import CONFIG_FILE, check_folder
from vidmoco.backbones.moco_v3_vit import register_transformers
from vidmoco.backbones.resnet_32px import register_resnets
from vidmoco.backbones.source import backbone_folder
from vidmoco.errors import ConfigError

PREFIX = "vidmoco_"


def user_backbone_folder() -> Path:
    """Return the folder of exported backbones: in $VIDMOCO_HOME, or in the user's data folder."""
    if home := os.environ.get("VIDMOCO_HOME"):
        return Path(home) / "backbones"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "vidmoco" / "backbones"


def export_backbone(source: str | os.PathLike[str], *, name: str, overwrite: bool = False) -> Path:
    """Copy the backbone of a run to the user's backbone folder; timm lists it as ``vidmoco_NAME``.

    Raises:
        ConfigError: the name cannot be used or is taken, or there is no folder ``source``.
        CheckpointError: ``source`` holds no backbone.
    """
    folder = backbone_folder(source)
    if folder is None:
        raise ConfigError(f"{source} is no folder. Give a run folder or a backbone folder.")
    check_folder(folder)
    target = user_backbone_folder() / _bare_name(name)
    if target.exists() and not overwrite:
        raise ConfigError(
            f"There already is a backbone {name!r} ({target}). Add --overwrite, or choose "
            "another --name."
        )
    with atomic_write(target) as part:
        shutil.copytree(folder, part)
    _register(PREFIX + target.name, target.resolve())
    return target


def register_exported_backbones() -> None:
    """Register every backbone of the user's backbone folder with timm."""
    for config in sorted(user_backbone_folder().glob(f"*/{CONFIG_FILE}")):
        _register(PREFIX + _bare_name(config.parent.name), config.parent.resolve())


def register_backbone(name: str, folder: str | os.PathLike[str]) -> str:
    """Register the backbone of a run or of a folder with timm as ``vidmoco_NAME``; return that.

    A name that is given again is that of the new folder.

    ``timm.create_model("vidmoco_NAME", pretrained=True)`` then loads its weights. Without
    ``pretrained`` it builds the architecture with random weights, as for timm's own names.

    Raises:
        ConfigError: the name has other characters than small letters, digits and underscores,
            or belongs to timm; or there is no ``folder``.
        CheckpointError: ``folder`` holds no backbone.
    """
    full_name = PREFIX + _bare_name(name)
    found = backbone_folder(Path(folder))
    assert found is not None  # a Path is no name
    check_folder(found)
    _register(full_name, found.resolve())
    return full_name


def _register(full_name: str, location: Path) -> None:
    def build(pretrained: bool = False, **options: Any) -> nn.Module:
        given = {key: value for key, value in options.items() if value is not None}
        given.pop("cache_dir", None)
        check_folder(location)
        return timm.create_model(f"local-dir:{location}", pretrained=pretrained, **given)

    if is_model(full_name):
        if not is_model_in_modules(full_name, [__name__.rpartition(".")[2]]):
            raise ConfigError(f"{full_name!r} is a model of timm's own. Choose another name.")
        timm.models._registry._model_entrypoints[full_name] = build
        return
    build.__name__ = build.__qualname__ = full_name
    timm.models.register_model(build)


def _bare_name(name: str) -> str:
    bare = name.removeprefix(PREFIX)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", bare):
        raise ConfigError(
            f"The backbone name {name!r} cannot be used; expected small letters, digits and "
            "underscores, such as 'kitchen_r50'."
        )
    return bare


register_transformers()
register_resnets()
register_exported_backbones()
