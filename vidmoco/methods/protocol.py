"""What a method is to the training loop, and what it gets."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from vidmoco.methods.losses import Stats
from vidmoco.shapes import Float, Float64, Int64


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a method gets in addition to its settings."""

    num_features: int = 0
    """D, the dimension of the backbone's feature. 0 means what ``build_method`` finds in a timm
    model, where it may differ from the model's own ``num_features``."""
    large_views: int = 0
    """Number of full-size views, which come before the small crops. 0 means all views of the first
    one's size. Only MoCo and Fast-MoCo take more than two."""
    durations: Float64[np.ndarray, " videos"] = field(default_factory=lambda: np.zeros(0))
    """Duration of each video in seconds. Only the memory bank needs it."""
    seed: int = 0
    """Seed of the random numbers that the method draws during training."""


class Method(nn.Module):
    """Base of the methods, which compute the loss of a training step.

    A step calls ``begin_step``, then forward and backward for each micro-batch, then the optimiser,
    then ``end_step``.
    """

    embeddings: tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]
    """Queries of the last batch and their positives, of unit length, for ``diagnostics``."""
    trained_encoder: ClassVar[str] = "encoder"
    """The attribute that holds the backbone and the head: ``encoder_q`` beside a key encoder."""
    syncs_batch_norm: ClassVar[bool]
    """Whether batch norms use the statistics of all processes."""

    @property
    def backbone(self) -> nn.Module:
        """The network that is trained, from (N, 3, H, W) to (N, D)."""
        return self._encoder[0]

    @property
    def projector(self) -> nn.Module:
        """The head, from features to embeddings."""
        return self._encoder[1]

    @property
    def _encoder(self) -> nn.Sequential:
        encoder: nn.Sequential = getattr(self, self.trained_encoder)
        return encoder

    def begin_step(self, progress: float) -> None:
        """Do what precedes the batch, such as the momentum update of the key encoder.

        ``progress`` is the finished fraction of the training, from 0 to below 1.
        """

    def forward(
        self,
        views: list[Float[Tensor, "n 3 _ _"]],
        *,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, "n f"],
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the loss of a micro-batch, and its diagnostics, which ``metrics.jsonl`` keeps.

        The progress bar and the report show ``top1`` and others of ``losses.py`` where they are.

        Args:
            views: full-size views first, then small crops. View v shows frame v modulo F.
            source_ids: the video of each sample.
            times: the time of each of its F frames, in seconds.
        """
        raise NotImplementedError

    def end_step(self) -> None:
        """Do what follows the backward passes, such as adding the keys to the queue."""
