"""Register the user's exported backbones and the papers' architectures with timm.

Importing this module registers them.
"""

import os
import re
import shutil
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import timm
from timm.models import PretrainedCfg, is_model, is_model_in_modules
from torch import nn

from vidmoco.atomic_file import atomic_write, remove_parts
from vidmoco.backbones.folder import CONFIG_FILE, check_folder, weights_file
from vidmoco.backbones.moco_v3_vit import register_transformers
from vidmoco.backbones.resnet_32px import register_resnets
from vidmoco.backbones.source import backbone_folder
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.lock import SECONDS_TO_BE_ALONE, held

PREFIX = "vidmoco_"
default_cfgs: dict[str, Any] = {}
"""What timm's ``register_model`` looks for beside a network: its trained weights, by its name."""
_USABLE = re.compile(r"[a-z0-9][a-z0-9_]*")


def user_backbone_folder() -> Path:
    """Return the folder of exported backbones: in $VIDMOCO_HOME, or in the user's data folder."""
    if home := os.environ.get("VIDMOCO_HOME"):
        return Path(home) / "backbones"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "vidmoco" / "backbones"


def export_backbone(source: str | os.PathLike[str], *, name: str, overwrite: bool = False) -> Path:
    """Copy the backbone of a run to the user's backbone folder; timm lists it as ``vidmoco_NAME``.

    One process at a time exports. It removes what killed ones have left in the folder.

    Raises:
        ConfigError: the name cannot be used or is taken, or there is no folder ``source``; or
            another process exports.
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
    _require_free(PREFIX + target.name)
    with held(
        target.parent,
        busy="Another process exports to",
        advice="and export again.",
        patience=SECONDS_TO_BE_ALONE,
    ) as no_locks:
        if not no_locks:
            remove_parts(target.parent, "*")
        with atomic_write(target) as part:
            shutil.copytree(folder, part)
    _register(PREFIX + target.name, target.resolve())
    return target


def register_exported_backbones() -> None:
    """Register the backbones of the user's backbone folder with timm.

    Folders whose names cannot be used are left out: those that an export writes at the moment or
    has left (``kitchen.a392dd73.part``), and those that the user has named (``Kitchen-2``). timm
    imports this module, so an error here would end every program that uses timm.
    """
    for config in sorted(user_backbone_folder().glob(f"*/{CONFIG_FILE}")):
        bare = config.parent.name.removeprefix(PREFIX)
        if _USABLE.fullmatch(bare) and not _is_anothers(PREFIX + bare):
            _register(PREFIX + bare, config.parent.resolve())


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

    _require_free(full_name)
    build.__name__ = build.__qualname__ = full_name
    default_cfgs.pop(full_name, None)
    if settings := _pretrained_cfg(location):
        default_cfgs.update(timm.models.generate_default_cfgs({full_name: settings}))
    if not is_model(full_name):
        timm.models.register_model(build)
        return
    with warnings.catch_warnings():  # timm's about a name that is given again
        warnings.simplefilter("ignore")
        timm.models.register_model(build)


def _pretrained_cfg(location: Path) -> PretrainedCfg | None:
    """Return what timm lists of trained weights, or None if the folder is damaged."""
    try:
        settings = check_folder(location)["pretrained_cfg"]
        known = {field.name for field in fields(PretrainedCfg)} & settings.keys()
        kept: dict[str, Any] = {
            key: tuple(value) if isinstance(value := settings[key], list) else value
            for key in known - {"url", "hf_hub_id", "source"}
        }
        return PretrainedCfg(**kept | {"file": str(weights_file(location))})
    except (OSError, TypeError, CheckpointError):
        return None


def _is_anothers(full_name: str) -> bool:
    """Return whether a name is that of a network of timm or of vidmoco."""
    here = __name__.rpartition(".")[2]
    return bool(is_model(full_name)) and not is_model_in_modules(full_name, [here])


def _require_free(full_name: str) -> None:
    if _is_anothers(full_name):
        raise ConfigError(f"{full_name!r} is a model of timm's own. Choose another name.")


def _bare_name(name: str) -> str:
    bare = name.removeprefix(PREFIX)
    if not _USABLE.fullmatch(bare):
        raise ConfigError(
            f"The backbone name {name!r} cannot be used; expected small letters, digits and "
            "underscores, such as 'kitchen_r50'."
        )
    return bare


register_transformers()
register_resnets()
register_exported_backbones()
