"""Checkpoints: all that a run needs to resume exactly. Each is written completely or not at all."""

from pathlib import Path
from typing import Any

import torch

from vidmoco.atomic_file import atomic_write, remove_parts
from vidmoco.errors import CheckpointError
from vidmoco.run_folder import resume_advice


def save_checkpoint(
    folder: Path, *, step: int, state: dict[str, Any], keep: int, advice: str | None = None
) -> Path:
    """Write ``state`` as the checkpoint of ``step`` and delete all but the ``keep`` newest.

    A crash or a full disk at any moment leaves the earlier checkpoints.

    Args:
        folder: the folder of checkpoints in a run folder.
        step: number of the step.
        state: tensors and plain values.
        keep: how many checkpoints are kept.
        advice: how to go on if it cannot be written (see ``writing``). None says: resume the run.

    Raises:
        ConfigError: the checkpoint cannot be written.
    """
    path = folder / f"step_{step:08d}.pt"
    remove_parts(folder, "step_*.pt")
    advice = advice or resume_advice(folder.parent)
    with atomic_write(path, advice=advice) as part, part.open("wb") as file:
        torch.save(state, file)
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step_*.pt"))


def newest_step(folder: Path) -> int:
    """Return the step of the newest checkpoint, or 0 if there is none."""
    paths = list_checkpoints(folder)
    return int(paths[-1].stem.removeprefix("step_")) if paths else 0


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the state in ``path``, on the CPU. Only tensors and plain values are read, no code.

    Raises:
        CheckpointError: the file is damaged, or is not a checkpoint of vidmoco.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(
            f"Cannot read the checkpoint {path}: {error}. Delete it to resume from an earlier one."
        ) from error
    if not isinstance(state, dict) or "step" not in state:
        raise CheckpointError(f"{path} is not a checkpoint of vidmoco.")
    return state


def load_matching(module: torch.nn.Module, state: dict[str, Any], *, source: Path) -> None:
    """Load ``state`` into ``module``; every key and shape must match.

    Raises:
        CheckpointError: the state is of another architecture.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise CheckpointError(f"{source} holds another architecture: {reason}") from error
