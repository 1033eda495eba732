"""Momentum Contrast.

v1: He, Fan, Wu, Xie, Girshick, "Momentum Contrast for Unsupervised Visual Representation Learning",
CVPR 2020. v2: Chen, Fan, Girshick, He, "Improved Baselines with Momentum Contrastive Learning",
2020. v2 differs only in settings: the head, tau, the views and the schedule.
"""

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidmoco import distributed
from vidmoco.methods.feature_queue import FeatureQueue
from vidmoco.methods.heads import MoCoHead, build_projector
from vidmoco.methods.losses import Stats, info_nce
from vidmoco.methods.momentum import momentum_at, update_momentum
from vidmoco.methods.negatives import Negatives, SameVideo, keys_of_queue, with_keys_of_batch
from vidmoco.methods.normalization import encode_shuffled, split_batch_norm
from vidmoco.methods.protocol import Inputs, Method
from vidmoco.methods.random_state import RandomState
from vidmoco.methods.terms import (
    by_query,
    count_large,
    mean_of,
    pairs_of_views,
    scale_loss,
    times_of_view,
)
from vidmoco.shapes import Float, Float64, Int64


class MoCo(Method):
    """MoCo (Algorithm 1 of the paper) on any backbone that maps (N, 3, H, W) to (N, D)."""

    trained_encoder = "encoder_q"
    syncs_batch_norm = False

    def __init__(
        self,
        backbone: nn.Module,
        inputs: Inputs,
        *,
        head: MoCoHead,
        dim: int,
        queue_size: int,
        queue_from: float,
        momentum: float,
        momentum_schedule: Literal["constant", "cosine"],
        tau: float,
        bn_splits: int,
        symmetric: bool,
        batch_negatives: bool,
        same_video: SameVideo,
        same_video_seconds: float | None,
    ) -> None:
        """Use ``backbone`` in the query encoder, and a copy of it in the key encoder.

        The settings are those of ``MoCoConfig``. With ``bn_splits`` > 1 the batch norms of both
        encoders are split, and keys are shuffled between the parts (section 3.3, Shuffling BN).
        """
        super().__init__()
        projector = build_projector(head, num_features=inputs.num_features, dim=dim)
        self.encoder_q = split_batch_norm(nn.Sequential(backbone, projector), bn_splits)
        self.encoder_k = copy.deepcopy(self.encoder_q).requires_grad_(False)
        self.queue, self.queue_from = FeatureQueue(queue_size, dim), queue_from
        self.momentum, self.momentum_schedule = momentum, momentum_schedule
        self.tau, self.bn_splits, self.symmetric = tau, bn_splits, symmetric
        self.batch_negatives, self.large_views = batch_negatives, inputs.large_views
        self.same_video, self.same_video_seconds = same_video, same_video_seconds
        self.random = RandomState(inputs.seed)
        self.progress = 0.0
        self.embeddings = torch.empty(0, dim), torch.empty(0, dim)
        self._waiting: list[tuple[dict[int, Tensor], Tensor, Tensor]] = []

    def begin_step(self, progress: float) -> None:
        """Move the key encoder towards the query encoder (equation 2)."""
        self.progress = progress
        m = momentum_at(progress, m=self.momentum, schedule=self.momentum_schedule)
        update_momentum(self.encoder_k, self.encoder_q, m=m)

    def forward(
        self,
        views: list[Float[Tensor, "n 3 _ _"]],
        *,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, "n f"],
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the loss of queries ``views[0]`` and keys ``views[1]``, and its diagnostics.

        ``symmetric`` adds the loss of queries ``views[1]`` and keys ``views[0]``, as the authors'
        CIFAR demo does. With more large views, all others are positives of a query. Small crops are
        additional queries. The loss is then the mean over all terms, times 2 if ``symmetric``.
        """
        large_views = count_large(views, self.large_views)
        pairs = pairs_of_views(len(views), symmetric=self.symmetric, large_views=large_views)
        terms = by_query(pairs)  # the key views of each query view: {0: [1]} in v1 and v2
        queries = {q: normalize(self.encoder_q(views[q]).float(), dim=1) for q in terms}  # (N, C)
        keys = {k: self.key(views[k]) for k in sorted({k for _, k in pairs})}  # (N, C)
        contrasts = [
            self.contrast(queries[q], own, keys, source_ids, times_of_view(times, q))
            for q, own in terms.items()
        ]
        loss, stats = mean_of(contrasts, counts=map(len, terms.values()))
        self.embeddings = queries[0].detach(), keys[1]
        self._waiting.append((keys, source_ids, times))
        return scale_loss(2 if self.symmetric else 1, loss, stats)

    def end_step(self) -> None:
        """Put the keys into the queue, view by view.

        This order does not depend on the number of micro-batches.
        """
        entering = [
            (keys[k], source_ids, times_of_view(times, k))
            for k in sorted(self._waiting[0][0])
            for keys, source_ids, times in self._waiting
        ]
        gathered = [map(distributed.gather_rows, one) for one in entering]
        self.queue.enqueue(*map(torch.cat, zip(*gathered, strict=True)))
        self._waiting.clear()

    @torch.no_grad()  # no gradient to keys
    def key(self, view: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c"]:
        """Return the keys of this process's views, encoded in shuffled order over all processes."""
        keys = encode_shuffled(
            self.encoder_k, view, bn_splits=self.bn_splits, generator=self.random.generator
        )
        own = distributed.shard(len(keys))
        return normalize(keys[own.start : own.stop].float(), dim=1)

    def contrast(
        self,
        query: Float[Tensor, "n c"],
        own: list[int],
        keys: dict[int, Float[Tensor, "n c"]],
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, " n"],
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the loss of queries against the queue, with the key views ``own`` as positives.

        With ``batch_negatives`` the batch's keys of other videos are negatives too. Those of the
        queue are negatives from ``queue_from`` on: while the encoder changes quickly, old keys tell
        their age (Wang et al. 2020, "Cross-Batch Memory for Embedding Learning", section 3.3).
        """
        positives = torch.stack([keys[k] for k in own], dim=1)  # (N, P, C)
        others, shares = keys_of_queue(
            self.queue,
            source_ids,
            times,
            same_video=self.same_video,
            within=self.same_video_seconds,
        )  # (K, C)
        if self.progress < self.queue_from:
            others = Negatives(self.queue.keys[:0])  # the warm-up of cross-batch memory
        if self.batch_negatives:
            others, more = with_keys_of_batch(others, list(keys.values()), source_ids)
            shares |= more
        loss, stats = info_nce(
            query,
            positives,
            others.keys,
            tau=self.tau,
            masked=others.masked,
            positives=others.positives,
        )
        return loss, stats | shares
