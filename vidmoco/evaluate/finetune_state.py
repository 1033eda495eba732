"""Checkpoints of a fine-tuning in the cache, so that the same command resumes it.

The folder is named by a hash of all that the fine-tuning depends on. After the last epoch only the
curve is kept.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from vidmoco import distributed
from vidmoco.cache_folder import cache_folder
from vidmoco.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from vidmoco.errors import CheckpointError, ConfigError

FORMAT = 2


class FinetuneState:
    """The checkpoint folder of one fine-tuning."""

    def __init__(
        self,
        key: dict[str, Any],
        *,
        epochs: int,
        fresh: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Name the folder by ``key``.

        Args:
            key: What the fine-tuning depends on.
            epochs: Number of epochs.
            fresh: Remove earlier checkpoints.
            say: Prints that a checkpoint cannot be read or written.
        """
        text = json.dumps({"format": FORMAT} | key, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        self.folder = cache_folder() / "finetune" / digest
        self.epochs, self.say = epochs, say
        if fresh and distributed.is_main():
            shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, float]]:
        """Load the last checkpoint into model and optimiser; return the epochs so far."""
        state = self._newest()
        if not all(distributed.gather_objects(bool(state))):
            return []
        curve: list[dict[str, float]] = state["curve"]
        if len(curve) < self.epochs:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
        return curve

    def _newest(self) -> dict[str, Any]:
        kept = list_checkpoints(self.folder)
        try:
            return load_checkpoint(kept[-1]) if kept else {}
        except CheckpointError:
            self.say(f"{kept[-1]} is damaged; the fine-tuning starts again.")
            return {}

    def save(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, curve: list[dict[str, float]]
    ) -> None:
        """Write a checkpoint; after the last epoch, only the curve."""
        if not distributed.is_main():
            return
        state: dict[str, Any] = {"step": len(curve), "curve": curve}
        if len(curve) < self.epochs:
            state |= {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        advice = ", or name another folder by VIDMOCO_CACHE."
        try:
            save_checkpoint(self.folder, step=len(curve), state=state, keep=1, advice=advice)
        except ConfigError as error:
            self.say(f"Epochs are not kept: {error}")
