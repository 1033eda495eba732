"""Checkpoints: all that a run needs to resume exactly. Each is written completely or not at all."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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
        old.unlink(missing_ok=True)  # two fine-tunings may write the same
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step_*.pt"))


def load_checkpoint(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """Return the state in ``path``, on the CPU. Only tensors and plain values are read, no code.

    With ``mmap`` tensors are read when they are used, so that plain values cost little.

    Raises:
        CheckpointError: the file is damaged, or is not a checkpoint of vidmoco.
    """
    try:
        require_unpacked_size(path, most=MAX_UNPACKED)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(
            f"Cannot read the checkpoint {path}: {error}. Delete it to resume from an earlier one."
        ) from error
    if not isinstance(state, dict) or "step" not in state:
        raise CheckpointError(f"{path} is not a checkpoint of vidmoco.")
    return state


MAX_UNPACKED = 2**30
"""Bytes that a compressed checkpoint may unpack to. ``torch.save`` compresses nothing."""


def require_unpacked_size(path: Path, *, most: int) -> None:
    """Refuse a zip file that unpacks to more than itself and ``most`` bytes, before it is unpacked.

    Raises:
        CheckpointError: its directory says that it does.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    packed = path.stat().st_size
    if unpacked > max(most, packed):
        raise CheckpointError(
            f"{path} has {packed / 2**20:,.0f} MiB and unpacks to {unpacked / 2**20:,.0f} MiB: it "
            f"is compressed, which torch.save never does. At most {most / 2**30:,.3g} GiB are "
            "unpacked; if you trust it, import it with a larger --max-unpacked-gib."
        )


def holds_its_values(tensor: Tensor) -> bool:
    """Return whether a tensor has memory for each value. A file may claim any shape without it."""
    if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


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
