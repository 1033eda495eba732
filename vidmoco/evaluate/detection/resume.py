"""Save and load checkpoints of a detection transfer, and check the settings of a resumed one."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from vidmoco import distributed, run_folder
from vidmoco.atomic_file import remove
from vidmoco.checkpoint import list_checkpoints, load_checkpoint, load_matching, save_checkpoint
from vidmoco.config.detection import DetectionCommand
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.json_lines import drop_lines_after

# Settings that may differ when a run resumes.
_FREE = {"run", "resume", "device", "checkpoint_every", "log_every"}


_BEFORE_CHECKPOINTS = (run_folder.ENVIRONMENT, run_folder.METRICS, run_folder.CHECKPOINTS)


def clear_start(run: Path) -> None:
    """Remove what a transfer left that has written no checkpoint yet, so that it can begin anew.

    Raises:
        ConfigError: the folder holds something else, or a checkpoint.
    """
    left = [path for path in run.iterdir() if path.name.startswith(_BEFORE_CHECKPOINTS)]
    if list_checkpoints(run / run_folder.CHECKPOINTS):
        left = []
    run_folder.require_empty(run, but=left)
    for path in left:
        remove(path)


def save_transfer(
    settings: DetectionCommand,
    *,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    classes: Sequence[str],
    weights_hash: str,
) -> None:
    """Write a checkpoint in place of the previous one, on the main process.

    It has no random state, because each step seeds itself.
    """
    if distributed.is_main():
        state = {
            "step": step,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "settings": settings.plain(),
            "classes": list(classes),
            "weights_hash": weights_hash,
        }
        save_checkpoint(settings.run / run_folder.CHECKPOINTS, step=step, state=state, keep=1)


def load_transfer(
    settings: DetectionCommand,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    classes: Sequence[str],
    weights_hash: str,
) -> int:
    """Load the newest checkpoint of a run into model and optimiser, and return its step.

    Later lines of the metrics file are removed.

    Raises:
        ConfigError: there is no checkpoint, or the run has other settings.
        CheckpointError: the checkpoint is damaged, or of other data or another backbone.
    """
    folder = settings.run / run_folder.CHECKPOINTS
    saved = list_checkpoints(folder)
    if not saved:
        raise ConfigError(
            f"There is no checkpoint in {folder} to resume from. Leave out --resume to begin, or "
            "give another --run."
        )
    state, now = load_checkpoint(saved[-1]), settings.plain()
    if not {"settings", "classes", "weights_hash", "model", "optimizer"} <= state.keys():
        raise CheckpointError(f"{saved[-1]} is not a checkpoint of a detection transfer.")
    changed = [
        f"--{name.replace('_', '-')} (was {old!r})"
        for name, old in state["settings"].items()
        if name not in _FREE and now.get(name) != old
    ]
    if changed:
        raise ConfigError(
            f"{settings.run} has other settings: {', '.join(changed)}. Give the same settings."
        )
    if state["classes"] != list(classes):
        raise CheckpointError(f"{settings.run} has other classes than --train.")
    if state["weights_hash"] != weights_hash:
        raise CheckpointError(f"{settings.run} began with other weights than --backbone has.")
    load_matching(model, state["model"], source=saved[-1])
    optimizer.load_state_dict(state["optimizer"])
    step: int = state["step"]
    metrics = settings.run / run_folder.METRICS
    if distributed.is_main() and metrics.is_file():
        drop_lines_after(metrics, step)
    return step
