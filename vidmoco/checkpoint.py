"""Checkpoints: all that a run needs to go on exactly, written so that none is ever half there."""

from pathlib import Path
from typing import Any

import torch

from vidmoco.atomic_file import atomic_write, remove_parts
from vidmoco.errors import CheckpointError
from vidmoco.run_folder import go_on_with


def save_checkpoint(
    folder: Path, *, step: int, state: dict[str, Any], keep: int, advice: str | None = None
) -> Path:
    """Write ``state`` as the checkpoint of ``step`` and delete all but the ``keep`` newest.

    The file is written beside its name, flushed to disk and renamed: a crash or a full disk at
    any moment leaves the checkpoints before it.

    Args:
        folder: of the checkpoints; in a run folder.
        step: its number.
        state: tensors and plain values.
        keep: how many are kept.
        advice: how to go on where it cannot be written (see ``writing``); None: to resume the run.

    Raises:
        ConfigError: it cannot be written.
    """
    path = folder / f"step_{step:08d}.pt"
    remove_parts(folder, "step_*.pt")
    advice = advice or go_on_with(folder.parent)
    with atomic_write(path, advice=advice) as part, part.open("wb") as file:
        torch.save(state, file)
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
