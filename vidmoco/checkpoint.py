"""Checkpoints: all that a run needs to go on exactly, written so that none is ever half there."""

import os
from pathlib import Path
from typing import Any

import torch

from vidmoco.errors import CheckpointError


def save_checkpoint(folder: Path, *, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write ``state`` as the checkpoint of ``step`` and delete all but the ``keep`` newest.

    The file is written beside its name, flushed to disk and renamed: a crash at any moment leaves
    the checkpoints before it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:08d}.pt"
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step_*.pt"))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the state in ``path``, on the CPU. Plain tensors and values only, never pickled code.

    Raises:
        CheckpointError: the file is damaged, or is no checkpoint of vidmoco.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(
            f"Cannot read the checkpoint {path}: {error}. Delete it to go on from the one before."
        ) from error
    if not isinstance(state, dict) or "step" not in state:
        raise CheckpointError(f"{path} is not a checkpoint of vidmoco.")
    return state


def load_matching(module: torch.nn.Module, state: dict[str, Any], *, source: Path) -> None:
    """Load ``state`` into ``module``, every key and every shape of it.

    Raises:
        CheckpointError: it is the state of another architecture.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise CheckpointError(f"{source} holds another architecture: {reason}") from error
