"""Fast-MoCo: divide, encode, combine, contrast.

Ci, Lin, Bai, Ouyang, "Fast-MoCo: Boost Momentum-Based Contrastive Learning with Combinatorial
Patches", ECCV 2022.
"""

import copy
from itertools import combinations
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidmoco import distributed
from vidmoco.methods.heads import build_batch_norm_mlp
from vidmoco.methods.losses import Stats, in_batch_nce
from vidmoco.methods.momentum import momentum_at, update_momentum
from vidmoco.methods.protocol import Inputs, Method
from vidmoco.methods.terms import (
    count_large,
    labels_of_own,
    mean_of,
    pairs_of_views,
    repeats_in_batch,
)
from vidmoco.shapes import Float, Float64, Int64


class FastMoCo(Method):
    """The online encoder sees patches and combines their features. The target sees whole views."""

    trained_encoder = "encoder_q"
    syncs_batch_norm = True

    def __init__(
        self,
        backbone: nn.Module,
        inputs: Inputs,
        *,
        divide: int,
        combine: int,
        dim: int,
        hidden_dim: int,
        predictor_hidden_dim: int,
        momentum: float,
        momentum_schedule: Literal["constant", "cosine"],
        tau: float,
    ) -> None:
        """Use ``backbone`` in the online encoder, and a copy of it in the target encoder.

        NOTE: the released code gives the target encoder its own random weights. Here it starts as
        a copy, as in MoCo.
        """
        super().__init__()
        projector = build_batch_norm_mlp(
            inputs.num_features,
            hidden_dim,
            dim,
            num_layers=3,
            last_norm="scale and shift",
            bias=True,
        )
        self.encoder_q = nn.Sequential(backbone, projector)
        self.encoder_k = copy.deepcopy(self.encoder_q).requires_grad_(False)
        self.predictor = build_batch_norm_mlp(
            dim, predictor_hidden_dim, dim, num_layers=2, last_norm="none", bias=True
        )
        self.divide, self.combine, self.tau = divide, combine, tau
        self.momentum, self.momentum_schedule = momentum, momentum_schedule
        self.large_views = inputs.large_views
        self.embeddings = torch.empty(0, dim), torch.empty(0, dim)

    def begin_step(self, progress: float) -> None:
        """Move the target encoder towards the online one."""
        m = momentum_at(progress, m=self.momentum, schedule=self.momentum_schedule)
        update_momentum(self.encoder_k, self.encoder_q, m=m)

    def forward(
        self,
        views: list[Float[Tensor, "n 3 _ _"]],
        *,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, "n f"],
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the mean loss over all combinations of patches and their targets.

        The first two views are the targets. With more large views, the patches of the first query
        come from views 0, 2, …, in turn, and those of the second query from views 1, 3, …. Small
        crops are additional queries, and are not cut.
        """
        large_views = count_large(views, self.large_views)
        large, small = views[:large_views], views[large_views:]
        queries = [self._combine(large[0::2]), self._combine(large[1::2])]  # tuples of (N, C)
        queries += [self._embed(self.backbone(view)).split(len(view)) for view in small]
        with torch.no_grad():  # no gradient to targets
            keys = [normalize(self.encoder_k(view).float(), dim=1) for view in views[:2]]
        self.embeddings = queries[0][0].detach(), keys[1]
        keys = [distributed.gather_rows(key) for key in keys]
        labels = labels_of_own(len(source_ids), source_ids.device)
        repeats = repeats_in_batch(source_ids)
        return mean_of(
            in_batch_nce(query, keys[k], labels, tau=self.tau, masked=repeats)
            for q, k in pairs_of_views(len(queries), symmetric=True)
            for query in queries[q]
        )

    def _combine(self, views: list[Float[Tensor, "n 3 s s"]]) -> tuple[Float[Tensor, "n c"], ...]:
        """Return an embedding of each combination of patches, which come from the views in turn."""
        divided = [divide_views(view, self.divide).split(len(view)) for view in views]
        patches = [divided[p % len(views)][p] for p in range(self.divide**2)]
        features = self.backbone(torch.cat(patches)).chunk(self.divide**2)  # (N, D) each
        subsets = list(combinations(features, self.combine))
        combined = torch.cat([torch.stack(subset).mean(0) for subset in subsets])
        embeddings: tuple[Tensor, ...] = self._embed(combined).split(len(views[0]))
        return embeddings

    def _embed(self, features: Float[Tensor, "m d"]) -> Float[Tensor, "m c"]:
        return normalize(self.predictor(self.projector(features)).float(), dim=1)


def divide_views(view: Float[Tensor, "n 3 s s"], divide: int) -> Float[Tensor, "m 3 p p"]:
    """Return m x m patches of each view, as (m m N, 3, S / m, S / m), patch by patch.

    Raises:
        ValueError: S is not a multiple of m.
    """
    if view.shape[-1] % divide:
        raise ValueError(f"views of {view.shape[-1]} pixels are not divisible by {divide}")
    return rearrange(view, "n c (i h) (j w) -> (i j n) c h w", i=divide, j=divide)
