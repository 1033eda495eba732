"""The epochs of a fine-tuning, kept on disk, so that the same command goes on where it stopped.

As with features, the folder is named for what the fine-tuning depends on. When it has ended, its
curve alone is left of it.
"""

import hashlib
import json
from typing import Any

import torch
from torch import nn

from vidmoco import distributed
from vidmoco.cache_folder import cache_folder
from vidmoco.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint

FORMAT = 1


class FinetuneState:
    """Where the epochs of one fine-tuning are kept."""

    def __init__(self, key: dict[str, Any], *, epochs: int, fresh: bool = False) -> None:
        """Name the folder by ``key``; ``fresh``: what is there is not used."""
        text = json.dumps({"format": FORMAT} | key, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        self.folder = cache_folder() / "finetune" / digest
        self.epochs, self.fresh = epochs, fresh

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, float]]:
        """Bring model and optimiser to the last epoch kept; return the epochs, none at first.

        Raises:
            CheckpointError: the file is damaged.
        """
        kept = [] if self.fresh else list_checkpoints(self.folder)
        if not all(distributed.gather_objects(bool(kept))):
            return []
        state = load_checkpoint(kept[-1])
        curve: list[dict[str, float]] = state["curve"]
        if len(curve) < self.epochs:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
        return curve

    def save(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, curve: list[dict[str, float]]
    ) -> str:
        """Keep an epoch, of the last one the curve alone; return why it cannot be kept."""
        if not distributed.is_main():
            return ""
        state: dict[str, Any] = {"step": len(curve), "curve": curve}
        if len(curve) < self.epochs:
            state |= {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        try:
            save_checkpoint(self.folder, step=len(curve), state=state, keep=1)
        except OSError as error:
            return f"Epochs cannot be kept in {self.folder}: {error.strerror}."
        return ""
