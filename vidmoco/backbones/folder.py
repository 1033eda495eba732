"""A backbone folder is a timm folder of two files."""

import shlex
from pathlib import Path
from typing import Any

from vidmoco.backbones.folder_config import checked_config
from vidmoco.errors import CheckpointError
from vidmoco.json_text import read_json

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
PICKLED_WEIGHTS_FILE = "pytorch_model.bin"  # of ``save_for_hf(safe_serialization=False)``
WEIGHTS_FILES = (WEIGHTS_FILE, PICKLED_WEIGHTS_FILE)


def weights_file(folder: Path) -> Path:
    """Return the file of a backbone folder's weights, as timm chooses it.

    Raises:
        CheckpointError: there is none.
    """
    for name in WEIGHTS_FILES:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(
        f"{folder} is not a backbone folder: it has no {WEIGHTS_FILE}. A run writes its backbone "
        "when it ends."
    )


def check_folder(folder: Path) -> dict[str, Any]:
    """Return the config of a backbone folder, checked.

    Raises:
        CheckpointError: a file is missing, or the config is damaged.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} is not a backbone folder: {_what_it_is(folder)}")
    weights_file(folder)
    try:
        return checked_config(read_json(path))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged: {error}. It is no config of a timm backbone."
        ) from error


def holds_only_a_backbone(folder: Path) -> bool:
    """Return whether a folder holds a timm backbone, and nothing that replacing it would delete."""
    names = sorted(path.name for path in folder.iterdir())
    if names not in [[CONFIG_FILE, weights] for weights in WEIGHTS_FILES]:
        return False
    try:
        return "architecture" in read_json(folder / CONFIG_FILE)
    except (ValueError, TypeError, IsADirectoryError):
        return False


def _what_it_is(folder: Path) -> str:
    """Return what a folder without a config is, and what to do, as the end of a message."""
    if (folder / "config.yaml").is_file():
        return (
            "it is a run that has not written its backbone, which it does when it ends. Go on "
            f"with: vidmoco pretrain --run {shlex.quote(str(folder))} --resume"
        )
    weights = next((name for name in WEIGHTS_FILES if (folder / name).is_file()), None)
    if weights is not None:
        return (
            f"it has no {CONFIG_FILE} that names the network of its {weights}. Make one with: "
            f"vidmoco import {folder / weights} -o FOLDER"
        )
    return f"it has no {CONFIG_FILE}. A run writes its backbone when it ends."
