"""A frozen copy of the training backbone, as the run will save it."""

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
    """A frozen copy of a backbone, and of its head if given, in evaluation mode.

    It is loaded from a folder saved as the run's backbone will be, so preprocessing, memory format
    and features are those of `vidmoco evaluate`. The training backbone is only read, and random
    generators are not changed.
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
        """Copy the backbone; ``size`` is the side of its inputs in pixels.

        With ``projector`` the features are the projector's outputs.

        Raises:
            ConfigError: the backbone's features cannot be used.
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
        """Copy the current weights, and rank 0's batch norm statistics, which the run saves."""
        state = self._original.state_dict()
        if distributed.world_size() > 1:  # statistics differ between processes
            names = [name for name, _ in self._original.named_buffers() if name in state]
            own = {name: state[name].cpu() for name in names} if distributed.is_main() else {}
            state |= distributed.gather_objects(own)[0]
        self._frozen.backbone.load_state_dict(state)

    def features(self, batches: Sequence[ImageBatch]) -> Features:
        """Return the features of all processes' images; ``batches`` are those of this process.

        Raises:
            CheckpointError: the features are not finite.
        """
        return compute_features(self._frozen, batches)
