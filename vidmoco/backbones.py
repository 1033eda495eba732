"""Backbones: the only place that creates timm models. Build, load, save, name."""

import copy
import hashlib
import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from safetensors import SafetensorError
from timm.models import is_model, is_model_in_modules, save_for_hf
from torch import nn

from vidmoco.errors import CheckpointError, ConfigError, nearest

PREFIX = "vidmoco_"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


def build_backbone(
    name: str, *, size: int, pretrained: bool = False, zero_init_residual: bool = False
) -> nn.Module:
    """Return the timm model ``name`` without classifier, for training on views of ``size`` pixels.

    Raises:
        ConfigError: timm has no such model, or it cannot take the size.
        CheckpointError: its pretrained weights cannot be had.
    """
    _require_model(name)
    options: dict[str, Any] = {}
    if is_model_in_modules(name.partition(".")[0], ["resnet"]):
        options["zero_init_last"] = zero_init_residual
    elif zero_init_residual:
        raise ConfigError(
            f"--backbone.zero-init-residual is for ResNets, and --backbone.name is {name!r}. "
            "Leave it out."
        )
    known = timm.get_pretrained_cfg(name)
    if known is not None and known.fixed_input_size:
        options["img_size"] = size
    try:
        backbone = _create(name, pretrained=pretrained, **options)
        with torch.no_grad():
            features = backbone.eval()(torch.zeros(2, 3, size, size))
    except (AssertionError, RuntimeError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{name} cannot take views of {size} px: {_first_line(error)}. Change --augment.size."
        ) from error
    if features.shape != (2, num_features_of(backbone)):
        raise ConfigError(
            f"{name} does not give one feature vector an image. Choose another backbone."
        )
    return backbone.train()


def load_backbone(source: str | Path, *, pretrained: bool = True) -> nn.Module:
    """Return a frozen backbone in evaluation mode: (N, 3, H, W) to (N, D) pooled features.

    Args:
        source: a run folder, a backbone folder, or a timm name (`vidmoco_…` names among them).
        pretrained: ``False`` gives the same architecture with random weights.

    Raises:
        ConfigError: there is no such folder and no such name.
        CheckpointError: the folder is damaged, or weights cannot be downloaded.
    """
    folder = _backbone_folder(source)
    if folder is None:
        _require_model(str(source))
        model = _create(str(source), pretrained=pretrained)
    else:
        _check_folder(folder)
        model = _create(f"local-dir:{folder}", pretrained=pretrained)
    return model.eval().requires_grad_(False)


def architecture_of(source: str | Path) -> str:
    """Return timm's architecture name for what ``load_backbone`` would load."""
    folder = _backbone_folder(source)
    if folder is None:
        _require_model(str(source))
        return str(source)
    return str(_check_folder(folder)["architecture"])


def num_features_of(backbone: nn.Module) -> int:
    """Return D, the dimension of the pooled feature."""
    known: Any = backbone
    return int(getattr(known, "head_hidden_size", None) or known.num_features)


def save_backbone(
    backbone: nn.Module, folder: Path, *, input_size: int, provenance: dict[str, Any]
) -> None:
    """Write ``backbone`` as a timm folder, that timm loads with no vidmoco at hand.

    ``timm.create_model("local-dir:FOLDER", pretrained=True)``. What timm knows of its own weights
    (tag, licence, origin, paper) gives way to ``provenance``: these weights are another work.
    """
    stock: Any = backbone.pretrained_cfg
    ours = {
        key: value
        for key, value in dict(stock).items()
        if key in ("architecture", "interpolation", "crop_mode", "mean", "std")
        or key in ("first_conv", "classifier", "fixed_input_size")
    }
    ours |= {
        "tag": "vidmoco",
        "num_classes": 0,
        "input_size": (3, input_size, input_size),
        "pool_size": None,
        "crop_pct": 0.875,  # 224 of 256: the test crop of all papers of this field
        "custom_load": False,
    }
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    plain: Any = copy.deepcopy(backbone).to(memory_format=torch.contiguous_format)  # safetensors'
    plain.pretrained_cfg = ours
    save_for_hf(plain, str(part), model_config={"vidmoco": provenance}, safe_serialization=True)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def user_backbone_folder() -> Path:
    """Return where exported backbones live: $VIDMOCO_HOME, or the user's data folder."""
    if home := os.environ.get("VIDMOCO_HOME"):
        return Path(home) / "backbones"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "vidmoco" / "backbones"


def export_backbone(source: str | Path, *, name: str, overwrite: bool = False) -> Path:
    """Copy the backbone of a run to the user's backbone folder; timm shows it as ``vidmoco_NAME``.

    Raises:
        ConfigError: the name cannot be used, or is taken.
        CheckpointError: ``source`` holds no backbone.
    """
    folder = _backbone_folder(source)
    if folder is None:
        raise ConfigError(f"No such run or backbone folder: {source}.")
    _check_folder(folder)
    target = user_backbone_folder() / _bare_name(name)
    if target.exists() and not overwrite:
        raise ConfigError(
            f"There is a backbone {name!r} already ({target}). Add --overwrite, or choose "
            "another --name."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(folder, part)
    shutil.rmtree(target, ignore_errors=True)
    part.replace(target)
    register_backbone(name, target)
    return target


def register_exported_backbones() -> None:
    """Register every backbone of the user's backbone folder with timm."""
    for config in sorted(user_backbone_folder().glob(f"*/{CONFIG_FILE}")):
        register_backbone(config.parent.name, config.parent)


def register_backbone(name: str, folder: str | Path) -> str:
    """Give timm the backbone in ``folder`` under ``vidmoco_NAME``, and return that name.

    ``timm.create_model("vidmoco_NAME", pretrained=True)`` then loads its weights, and without
    ``pretrained`` builds its architecture, as with timm's own names.

    Raises:
        ConfigError: the name is not made of letters, digits and underscores, or belongs to timm.
    """
    full_name = PREFIX + _bare_name(name)
    location = Path(folder).resolve()

    def build(pretrained: bool = False, **options: Any) -> nn.Module:
        given = {key: value for key, value in options.items() if value is not None}
        given.pop("cache_dir", None)
        _check_folder(location)
        return timm.create_model(f"local-dir:{location}", pretrained=pretrained, **given)

    if is_model(full_name):
        if not is_model_in_modules(full_name, ["backbones"]):
            raise ConfigError(f"{full_name!r} is a model of timm's own. Choose another name.")
        timm.models._registry._model_entrypoints[full_name] = build
        return full_name
    build.__name__ = build.__qualname__ = full_name
    timm.models.register_model(build)
    return full_name


def _bare_name(name: str) -> str:
    bare = name.removeprefix(PREFIX)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", bare):
        raise ConfigError(
            f"The backbone name {name!r} cannot be used; it must be small letters, digits and "
            "underscores, "
            "such as 'kitchen_r50'."
        )
    return bare


def _backbone_folder(source: str | Path) -> Path | None:
    """Return the backbone folder that ``source`` means, or None where it reads as a timm name."""
    path = Path(source)
    if (path / "backbone" / CONFIG_FILE).is_file():
        return path / "backbone"
    if path.is_dir():
        return path
    looks_like_path = isinstance(source, Path) or "/" in source or source.startswith((".", "~"))
    if path.exists() or (looks_like_path and not str(source).startswith("hf-hub:")):
        raise ConfigError(
            f"There is no backbone at {source}: expected a run folder, a backbone folder or a "
            "timm name."
        )
    return None


def _check_folder(folder: Path) -> dict[str, Any]:
    """Return the config of a backbone folder that has all its parts."""
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder} is not a backbone folder: it has no {name}. A run writes its backbone "
                "at its end."
            )
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        return {"architecture": str(config["architecture"]), **config}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / CONFIG_FILE} is damaged: {error!r}.") from error


def _require_model(name: str) -> None:
    if name.startswith("hf-hub:"):
        return
    if not is_model(name.partition(".")[0]):
        raise ConfigError(
            f"Unknown backbone {name!r}.{nearest(name, timm.list_models())} Expected a timm "
            "name, a run "
            "folder or a backbone folder."
        )


def _create(name: str, *, pretrained: bool, **options: Any) -> nn.Module:
    """Create a timm model without classifier; its failures as errors of ours."""
    for library in ("timm", "huggingface_hub"):  # they report every attempt at a download
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except (OSError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise CheckpointError(
            f"Cannot download the weights of {name}: {_first_line(error)} Give --backbone a run "
            "or backbone "
            "folder, or connect to the internet."
        ) from error
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"Cannot load {name}: {_first_line(error)}") from error
    return model


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return " ".join(lines[:2])


def weights_hash(backbone: nn.Module) -> str:
    """Return 16 hex digits of the SHA-256 over names, shapes and bytes of all weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


register_exported_backbones()
