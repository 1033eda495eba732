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

from vidmoco import distributed
from vidmoco.config.methods import MoCoConfig
from vidmoco.methods.feature_queue import FeatureQueue
from vidmoco.methods.heads import build_projector
from vidmoco.methods.losses import Stats, info_nce
from vidmoco.methods.momentum import momentum_at, update_momentum
from vidmoco.methods.normalization import encode_shuffled, split_batch_norm
from vidmoco.methods.terms import mean_of, pairs_of_views, times_of
from vidmoco.shapes import Float, Float64, Int64


class MoCo(nn.Module):
    """MoCo, Algorithm 1 of the paper, on any backbone that maps (N, 3, H, W) to (N, D)."""

    embeddings: tuple[Tensor, Tensor]
    """Queries of the last batch and their positives, for ``diagnostics``."""

    def __init__(
        self,
        backbone: nn.Module,
        *,
        num_features: int,
        head: Literal["linear", "mlp"] = "mlp",
        dim: int = 128,
        queue_size: int = 65536,
        momentum: float = 0.999,
        momentum_schedule: Literal["constant", "cosine"] = "constant",
        tau: float = 0.2,
        bn_splits: int = 1,
        symmetric: bool = False,
        large_views: int = 2,
        batch_negatives: bool = False,
        same_video: Literal["negative", "masked", "positive"] = "negative",
        same_video_seconds: float | None = None,
        seed: int = 0,
    ) -> None:
        """Take ``backbone`` as the query encoder's, and a copy of it as the key encoder's.

        With ``bn_splits`` > 1 the batch norms of both are split, and keys are shuffled between the
        parts by a generator of ``seed`` (section 3.3, Shuffling BN). ``symmetric`` is the variant
        of the authors' CIFAR demo. With more than two ``large_views`` a query has several
        positives. ``batch_negatives``: the batch's other videos are negatives too. ``same_video``
        says what keys in the queue of the query's own video are.
        """
        super().__init__()
        projector = build_projector(head, num_features=num_features, dim=dim)
        self.encoder_q = split_batch_norm(nn.Sequential(backbone, projector), bn_splits)
        self.encoder_k = copy.deepcopy(self.encoder_q).requires_grad_(False)
        self.queue = FeatureQueue(queue_size, dim)
        self.momentum, self.momentum_schedule = momentum, momentum_schedule
        self.tau, self.bn_splits, self.symmetric = tau, bn_splits, symmetric
        self.large_views, self.batch_negatives = large_views, batch_negatives
        self.same_video, self.same_video_seconds = same_video, same_video_seconds
        self.generator = torch.Generator().manual_seed(seed)
        # A query view at a time where there are many, so that memory does not grow with them.
        self.passes = large_views if symmetric and large_views > 2 else 1
        self._keys: dict[int, Tensor] = {}
        self._waiting: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = {}

    @property
    def backbone(self) -> nn.Module:
        """The query encoder's backbone: what a run is for."""
        return self.encoder_q[0]  # type: ignore[index, no-any-return]

    def forward(
        self,
        views: list[Float[Tensor, "n 3 _ _"]],
        *,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, "n f"],
        progress: float = 0.0,
        first: bool = True,
        last: bool = True,
        pass_number: int = 0,
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the loss of queries ``views[0]`` and keys ``views[1]``, and its diagnostics.

        ``symmetric`` adds the loss of queries ``views[1]`` and keys ``views[0]``. With more large
        views each has all others as positives. Small crops are further queries; the loss is then
        the mean over all terms, times 2 where it is symmetric.

        ``first`` and ``last`` mark the micro-batches of one optimiser step: the key encoder moves
        once, before the first, and all keys enter the queue at once, after the last. With several
        ``passes`` a micro-batch is given so many times, and the loss is their mean: the first one
        encodes the keys, and each has its own query view.
        """
        terms = pairs_of_views(len(views), symmetric=self.symmetric, large_views=self.large_views)
        keys_of: dict[int, list[int]] = {}
        for q, k in terms:
            if q % self.passes == pass_number:
                keys_of.setdefault(q, []).append(k)
        queries = {q: normalize(self.encoder_q(views[q]).float(), dim=1) for q in keys_of}
        if pass_number == 0:
            self._encode_keys(views, {k for _, k in terms}, progress=progress, moves=first)
        frames = {view: times[:, view % times.shape[1]] for view in range(len(views))}
        contrasts = []
        for q, ks in keys_of.items():
            loss, stats = self._contrast(queries[q], ks, source_ids, frames[q])
            share = len(ks) * len(keys_of) * self.passes / len(terms)  # all terms count alike
            contrasts.append((loss * share, {name: stat * share for name, stat in stats.items()}))
        loss, stats = mean_of(contrasts)
        if pass_number == 0:
            self.embeddings = queries[0].detach(), self._keys[1]
        stats["queue_age"] = self.queue.mean_age()
        if pass_number == self.passes - 1:
            for k, key in self._keys.items():
                self._waiting.setdefault(k, []).append((key, source_ids, frames[k]))
            if last:
                self._enqueue()
        return times_of(2 if self.symmetric else 1, loss, stats)

    @torch.no_grad()  # no gradient to keys
    def _encode_keys(
        self, views: list[Tensor], wanted: set[int], *, progress: float, moves: bool
    ) -> None:
        if moves:
            m = momentum_at(progress, m=self.momentum, schedule=self.momentum_schedule)
            update_momentum(self.encoder_k, self.encoder_q, m=m)
        self._keys = {
            k: normalize(self._shuffled_keys(views[k]).float(), dim=1) for k in sorted(wanted)
        }  # (N, C) each

    def _enqueue(self) -> None:
        """Put all keys of a view into the queue, then all of the next: as without micro-batches."""
        in_order = [one for k in sorted(self._waiting) for one in self._waiting[k]]
        everywhere = [map(distributed.gather_rows, one) for one in in_order]
        self.queue.enqueue(*map(torch.cat, zip(*everywhere, strict=True)))
        self._waiting.clear()

    def _contrast(
        self,
        query: Float[Tensor, "n c"],
        keys: list[int],
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, " n"],
    ) -> tuple[Float[Tensor, ""], Stats]:
        own = torch.stack([self._keys[k] for k in keys], dim=1)  # (N, P, C)
        # A copy: enqueue writes into the queue before the backward pass reads it.
        negatives = self.queue.keys.clone()
        of_queue = masked = positives = None
        if self.same_video != "negative":
            of_queue = self.queue.same_video(source_ids, times, within=self.same_video_seconds)
            masked = of_queue if self.same_video == "masked" else None
            positives = of_queue if self.same_video == "positive" else None
        if self.batch_negatives:
            negatives = torch.cat([negatives, *map(distributed.gather_rows, self._keys.values())])
            ids = distributed.gather_rows(source_ids).repeat(len(self._keys))
            of_batch = source_ids[:, None] == ids  # the block of VINCE's mask
            none = torch.zeros_like(self.queue.source_ids, dtype=torch.bool).expand(len(query), -1)
            masked = torch.cat([none if masked is None else masked, of_batch], dim=1)
            if positives is not None:
                positives = torch.cat([positives, torch.zeros_like(of_batch)], dim=1)
        loss, stats = info_nce(
            query, own, negatives, tau=self.tau, masked=masked, positives=positives
        )
        if of_queue is not None:
            stats["same_video"] = of_queue.float().mean() * 100
        if self.batch_negatives:
            stats["same_video_in_batch"] = of_batch.float().mean() * 100
        return loss, stats

    def _shuffled_keys(self, view: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c"]:
        """Return the keys of this process's views, which have been encoded among all others."""
        keys = encode_shuffled(
            self.encoder_k, view, bn_splits=self.bn_splits, generator=self.generator
        )
        own = distributed.shard(len(keys))
        return keys[own.start : own.stop]


def build_moco(
    config: MoCoConfig, *, backbone: nn.Module, num_features: int, large_views: int, seed: int
) -> MoCo:
    """Return the method that ``config`` describes."""
    return MoCo(
        backbone,
        num_features=num_features,
        head=config.head,
        dim=config.dim,
        queue_size=config.queue_size,
        momentum=config.momentum,
        momentum_schedule=config.momentum_schedule,
        tau=config.tau,
        bn_splits=config.bn_splits,
        symmetric=config.symmetric,
        large_views=large_views,
        batch_negatives=config.batch_negatives,
        same_video=config.same_video,
        same_video_seconds=config.same_video_seconds,
        seed=seed,
    )
