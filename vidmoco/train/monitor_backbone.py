"""The backbone as it will be saved, beside the one that trains."""

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from vidmoco import distributed
from vidmoco.backbones.build import save_backbone
from vidmoco.backbones.frozen import load_frozen
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.evaluate.features import Features, ImageBatch, compute_features


class FrozenCopy:
    """A copy of a backbone that trains, and of its head if given; frozen, in evaluation mode.

    It is loaded from a folder that is written as the run's will be, so preprocessing, memory format
    and features are those of `vidmoco evaluate`. The backbone itself is only read, and random
    numbers are left as they were.
    """

    def __init__(
        self,
        backbone: nn.Module,
        projector: nn.Module | None = None,
        *,
        size: int,
        device: torch.device,
        precision: Literal["bf16", "fp32"],
    ) -> None:
        """Take the backbone, the side of its inputs in pixels, and how the copy computes.

        With ``projector`` the features are its outputs.

        Raises:
            ConfigError: its features cannot be used.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "backbone"
            save_backbone(backbone, folder, input_size=size, provenance={})
            frozen = replace(load_frozen(str(folder), precision=precision), name="of this run")
        self._original = backbone
        if projector is not None:
            head = copy.deepcopy(projector).cpu().eval().requires_grad_(False)
            self._original = nn.Sequential(backbone, projector)
            dim = head(torch.zeros(1, frozen.dim)).shape[1]
            frozen = replace(frozen, backbone=nn.Sequential(frozen.backbone, head), dim=dim)
        frozen.move_to(device)
        self._frozen = frozen

    @property
    def preprocess(self) -> Preprocess:
        """What is done to images before the backbone."""
        return self._frozen.preprocess

    def update(self) -> None:
        """Take over the weights as they are now; those of batch norms as the run saves them."""
        state = self._original.state_dict()
        if distributed.world_size() > 1:  # statistics are each process's own
            names = [name for name, _ in self._original.named_buffers() if name in state]
            own = {name: state[name].cpu() for name in names} if distributed.is_main() else {}
            state |= distributed.gather_objects(own)[0]
        self._frozen.backbone.load_state_dict(state)

    def features(self, batches: Sequence[ImageBatch]) -> Features:
        """Return the features of the images of all processes, of which these are this one's.

        Raises:
            CheckpointError: they are not finite.
        """
        return compute_features(self._frozen, batches)
