"""What a method is: the only thing that a training knows of one."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from vidmoco.methods.losses import Stats
from vidmoco.shapes import Float, Float64, Int64


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a method gets, beside its settings."""

    num_features: int
    """D, the dimension of the backbone's feature."""
    large_views: int = 2
    """The views of the full size, which come before the small crops."""
    durations: Float64[np.ndarray, " videos"] = field(default_factory=lambda: np.zeros(0))
    """Seconds of each video; only the memory bank needs them."""
    seed: int = 0
    """Of the random numbers that the method draws while it trains."""


@runtime_checkable
class Method(Protocol):
    """An ``nn.Module`` that a training step drives.

    A step calls ``begin_step``, then forward and backward once for each micro-batch, then lets the
    optimiser move the weights, and calls ``end_step``.
    """

    embeddings: tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]
    """Queries of the last batch and their positives, of unit length, for ``diagnostics``."""
    syncs_batch_norm: bool
    """Whether batch norms take their statistics over the batches of all processes."""

    @property
    def backbone(self) -> nn.Module:
        """What a run is for: (N, 3, H, W) to (N, D)."""

    @property
    def projector(self) -> nn.Module:
        """What makes embeddings of the backbone's features."""

    def begin_step(self, progress: float) -> None:
        """Do what comes before the batch, such as to move the key encoder.

        ``progress`` is the share of the training that is done, from 0 to below 1.
        """

    def forward(
        self,
        views: list[Float[Tensor, "n 3 _ _"]],
        *,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, "n f"],
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the loss of a micro-batch, and its diagnostics.

        Args:
            views: of the full size first, then small crops; view v is of frame v modulo F.
            source_ids: the video of each sample.
            times: when each of its F frames was shown, in seconds.
        """

    def end_step(self) -> None:
        """Do what comes after the backward passes, such as to let the keys enter the queue."""
