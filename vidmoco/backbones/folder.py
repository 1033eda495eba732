"""A backbone folder is a timm folder of two files."""

import json
from pathlib import Path
from typing import Any

from vidmoco.errors import CheckpointError, ConfigError

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


def backbone_folder(source: str | Path) -> Path | None:
    """Return the backbone folder that ``source`` means, or None if it looks like a timm name.

    Raises:
        ConfigError: ``source`` is a path without a backbone.
    """
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


def check_folder(folder: Path) -> dict[str, Any]:
    """Return the config of a backbone folder.

    Raises:
        CheckpointError: a file is missing, or the config is damaged.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder} is not a backbone folder: it has no {name}. A run writes its backbone "
                "when it ends."
            )
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        return {"architecture": str(config["architecture"]), **config}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / CONFIG_FILE} is damaged: {error!r}.") from error
