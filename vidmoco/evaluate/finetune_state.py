"""The epochs of a fine-tuning, kept on disk, so that the same command goes on where it stopped.

As with features, the folder is named for what the fine-tuning depends on. When it has ended, its
curve alone is left of it.
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
    """Where the epochs of one fine-tuning are kept."""

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
            epochs: How many it has.
            fresh: What is there is removed.
            say: Is told that what is there cannot be used, or that nothing can be kept.
        """
        text = json.dumps({"format": FORMAT} | key, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        self.folder = cache_folder() / "finetune" / digest
        self.epochs, self.say = epochs, say
        if fresh and distributed.is_main():
            shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, float]]:
        """Bring model and optimiser to the last epoch kept; return the epochs, none at first."""
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
            self.say(f"{kept[-1]} is damaged; the fine-tuning begins anew.")
            return {}

    def save(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, curve: list[dict[str, float]]
    ) -> None:
        """Keep an epoch, of the last one the curve alone."""
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
