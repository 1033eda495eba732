"""Momentum Contrast.

v1: He, Fan, Wu, Xie, Girshick, "Momentum Contrast for Unsupervised Visual Representation Learning",
CVPR 2020. v2: Chen, Fan, Girshick, He, "Improved Baselines with Momentum Contrastive Learning",
2020; it differs in the head, in tau, in the views and in the schedule, and in nothing here.
"""

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidmoco.config import MoCoConfig
from vidmoco.device import to_device
from vidmoco.feature_queue import FeatureQueue
from vidmoco.heads import build_projector
from vidmoco.losses import Stats, info_nce
from vidmoco.momentum import update_momentum
from vidmoco.normalization import split_batch_norm
from vidmoco.shapes import Float, Int64


class MoCo(nn.Module):
    """MoCo, Algorithm 1 of the paper, on any backbone that maps (N, 3, H, W) to (N, D)."""

    def __init__(
        self,
        backbone: nn.Module,
        *,
        num_features: int,
        head: Literal["linear", "mlp"] = "mlp",
        dim: int = 128,
        queue_size: int = 65536,
        momentum: float = 0.999,
        tau: float = 0.2,
        bn_splits: int = 1,
        shuffle_seed: int = 0,
    ) -> None:
        """Take ``backbone`` as the query encoder's, and a copy of it as the key encoder's.

        With ``bn_splits`` > 1 the batch norms of both are split, and keys are shuffled between the
        parts by a generator of ``shuffle_seed`` (section 3.3, Shuffling BN).
        """
        super().__init__()
        projector = build_projector(head, num_features=num_features, dim=dim)
        self.encoder_q = split_batch_norm(nn.Sequential(backbone, projector), bn_splits)
        self.encoder_k = copy.deepcopy(self.encoder_q).requires_grad_(False)
        self.queue = FeatureQueue(queue_size, dim)
        self.momentum, self.tau, self.bn_splits = momentum, tau, bn_splits
        self.generator = torch.Generator().manual_seed(shuffle_seed)
        self._waiting: list[tuple[Tensor, Tensor]] = []

    @property
    def backbone(self) -> nn.Module:
        """The query encoder's backbone: what a run is for."""
        return self.encoder_q[0]  # type: ignore[index, no-any-return]

    def forward(
        self,
        views: list[Float[Tensor, "n 3 s s"]],
        *,
        source_ids: Int64[Tensor, " n"],
        progress: float = 0.0,
        first: bool = True,
        last: bool = True,
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the loss of queries ``views[0]`` and keys ``views[1]``, and its diagnostics.

        ``progress``, from 0 to 1, is for methods whose momentum has a schedule; MoCo's is constant.
        ``first`` and ``last`` mark the micro-batches of one optimiser step: the key encoder moves
        once, before the first, and all keys enter the queue at once, after the last.
        """
        query = normalize(self.encoder_q(views[0]).float(), dim=1)  # (N, C)
        with torch.no_grad():  # no gradient to keys
            if first:
                update_momentum(self.encoder_k, self.encoder_q, m=self.momentum)
            key = normalize(self._shuffled_keys(views[1]).float(), dim=1)  # (N, C)
        # A copy: enqueue writes into the queue before the backward pass reads it.
        loss, stats = info_nce(query, key, self.queue.keys.clone(), tau=self.tau)
        self._waiting.append((key, source_ids))
        if last:
            keys, ids = zip(*self._waiting, strict=True)
            self.queue.enqueue(torch.cat(keys), torch.cat(ids))
            self._waiting.clear()
        return loss, stats

    def _shuffled_keys(self, view: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c"]:
        """Encode ``view`` in random order, so that key and query meet different statistics."""
        if self.bn_splits == 1:
            return self.encoder_k(view)  # type: ignore[no-any-return]
        order = torch.randperm(len(view), generator=self.generator)
        to_parts, back = to_device(torch.stack([order, order.argsort()]), view.device)
        return self.encoder_k(view[to_parts])[back]  # type: ignore[no-any-return]


def build_moco(config: MoCoConfig, *, backbone: nn.Module, num_features: int, seed: int) -> MoCo:
    """Return the method that ``config`` describes."""
    return MoCo(
        backbone,
        num_features=num_features,
        head=config.head,
        dim=config.dim,
        queue_size=config.queue_size,
        momentum=config.momentum,
        tau=config.tau,
        bn_splits=config.bn_splits,
        shuffle_seed=seed,
    )
