"""MoCo v3, on ResNets and vision transformers.

Chen, Xie, He, "An Empirical Study of Training Self-Supervised Vision Transformers", ICCV 2021,
algorithm 1.
"""

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidmoco import distributed
from vidmoco.methods.heads import build_batch_norm_mlp
from vidmoco.methods.losses import Stats, in_batch_nce
from vidmoco.methods.momentum import momentum_at, update_momentum
from vidmoco.methods.protocol import Inputs, Method
from vidmoco.methods.terms import (
    labels_of_own,
    mean_of,
    pairs_of_views,
    repeats_in_batch,
    scale_loss,
)
from vidmoco.shapes import Float, Float64, Int64


class MoCoV3(Method):
    """The negatives of a query are the keys of all other samples of all processes; no queue."""

    trained_encoder = "encoder_q"
    syncs_batch_norm = True

    def __init__(
        self,
        backbone: nn.Module,
        inputs: Inputs,
        *,
        dim: int,
        hidden_dim: int,
        projector_layers: int,
        predictor_norm: bool,
        momentum: float,
        momentum_schedule: Literal["constant", "cosine"],
        tau: float,
    ) -> None:
        """Use ``backbone`` in the query encoder, and a copy of it in the key encoder.

        ``projector_layers`` is 2 for ResNets and 3 for transformers, whose predictor ends with a
        batch norm (``predictor_norm``). Frozen parameters of the backbone stay frozen.
        """
        super().__init__()
        projector = build_batch_norm_mlp(
            inputs.num_features,
            hidden_dim,
            dim,
            num_layers=projector_layers,
            last_norm="plain",
            bias=False,
        )
        self.encoder_q = nn.Sequential(backbone, projector)
        self.encoder_k = copy.deepcopy(self.encoder_q).requires_grad_(False)
        self.predictor = build_batch_norm_mlp(
            dim,
            hidden_dim,
            dim,
            num_layers=2,
            last_norm="plain" if predictor_norm else "none",
            bias=False,
        )
        self.momentum, self.momentum_schedule, self.tau = momentum, momentum_schedule, tau
        self.embeddings = torch.empty(0, dim), torch.empty(0, dim)

    def begin_step(self, progress: float) -> None:
        """Move the key encoder towards the query encoder."""
        m = momentum_at(progress, m=self.momentum, schedule=self.momentum_schedule)
        update_momentum(self.encoder_k, self.encoder_q, m=m)

    def forward(
        self,
        views: list[Float[Tensor, "n 3 _ _"]],
        *,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, "n f"],
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the loss ctr(q1, k2) + ctr(q2, k1), and its diagnostics.

        ctr is the cross entropy times 2 tau. Small crops are additional queries. The loss is then
        the mean over all terms, times 2.
        """
        queries = [normalize(self.predictor(self.encoder_q(view)).float(), dim=1) for view in views]
        with torch.no_grad():  # no gradient to keys
            keys = [normalize(self.encoder_k(view).float(), dim=1) for view in views[:2]]
        self.embeddings = queries[0].detach(), keys[1]
        keys = [distributed.gather_rows(key) for key in keys]
        labels = labels_of_own(len(source_ids), source_ids.device)
        repeats = repeats_in_batch(source_ids)
        loss, stats = mean_of(
            in_batch_nce(queries[q], keys[k], labels, tau=self.tau, masked=repeats)
            for q, k in pairs_of_views(len(views), symmetric=True)
        )
        return scale_loss(2 * 2 * self.tau, loss, stats)
