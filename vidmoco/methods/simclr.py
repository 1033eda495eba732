"""SimCLR, and the end-to-end mechanism to which MoCo is compared. Neither has a key encoder.

SimCLR: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual
Representations", ICML 2020. End to end: He et al. 2020 (MoCo), figure 2a.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidmoco import distributed
from vidmoco.methods.heads import build_batch_norm_mlp, build_projector
from vidmoco.methods.losses import Stats, in_batch_nce, nt_xent
from vidmoco.methods.normalization import encode_shuffled, split_batch_norm
from vidmoco.methods.protocol import Inputs, Method
from vidmoco.methods.random_state import RandomState
from vidmoco.methods.terms import labels_of_own, mean_of, pairs_of_views, repeats_in_batch
from vidmoco.shapes import Float, Float64, Int64


class SimCLR(Method):
    """SimCLR (Algorithm 1 of the paper)."""

    syncs_batch_norm = True

    def __init__(
        self,
        backbone: nn.Module,
        inputs: Inputs,
        *,
        dim: int,
        projector_layers: int,
        tau: float,
    ) -> None:
        """Put a head on ``backbone``, as wide as its features, with 2 layers (v1) or 3 (v2).

        The last batch norm of the head has a scale and no shift, as in the authors' code.
        """
        super().__init__()
        projector = build_batch_norm_mlp(
            inputs.num_features,
            inputs.num_features,
            dim,
            num_layers=projector_layers,
            last_norm="scale",
            bias=False,
        )
        self.encoder = nn.Sequential(backbone, projector)
        self.tau = tau
        self.embeddings = torch.empty(0, dim), torch.empty(0, dim)

    def forward(
        self,
        views: list[Float[Tensor, "n 3 _ _"]],
        *,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, "n f"],
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the mean loss of all 2N large views, and its diagnostics.

        Every small crop adds two terms, one with each large view.

        NOTE: the authors' TensorFlow code returns the sum of both views' means, twice this loss.
        """
        # Both large views in one pass: the batch norms see all 2N, as in the authors' code.
        num = len(source_ids)
        large = normalize(self.encoder(torch.cat(views[:2])).float(), dim=1).split(num)
        small = [normalize(self.encoder(view).float(), dim=1) for view in views[2:]]
        self.embeddings = large[0].detach(), large[1].detach()
        gathered = [distributed.gather_rows_with_gradient(view) for view in (*large, *small)]
        crops = pairs_of_views(len(views), symmetric=True)[2:]
        ids = distributed.gather_rows(source_ids)
        return mean_of(
            nt_xent(gathered[a], gathered[b], ids, tau=self.tau) for a, b in [(0, 1), *crops]
        )


class EndToEnd(Method):
    """MoCo's figure 2a: one encoder for queries and keys, with gradients through both.

    The dictionary is the batch of keys, so it is as large as the batch.
    """

    syncs_batch_norm = False

    def __init__(
        self,
        backbone: nn.Module,
        inputs: Inputs,
        *,
        dim: int,
        tau: float,
        bn_splits: int,
    ) -> None:
        """Put MoCo v1's linear head on ``backbone``.

        With ``bn_splits`` > 1 the batch norms are split, and keys are shuffled between the parts:
        the paper uses Shuffling BN for its end-to-end counterpart too (section 3.3).
        """
        super().__init__()
        projector = build_projector("linear", num_features=inputs.num_features, dim=dim)
        self.encoder = split_batch_norm(nn.Sequential(backbone, projector), bn_splits)
        self.tau, self.bn_splits = tau, bn_splits
        self.random = RandomState(inputs.seed)
        self.embeddings = torch.empty(0, dim), torch.empty(0, dim)

    def forward(
        self,
        views: list[Float[Tensor, "n 3 _ _"]],
        *,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, "n f"],
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the loss of queries ``views[0]`` and keys ``views[1]``, and its diagnostics."""
        terms = pairs_of_views(len(views), symmetric=False)
        queries = [normalize(self.encoder(views[q]).float(), dim=1) for q, _ in terms]
        keys = encode_shuffled(
            self.encoder,
            views[1],
            bn_splits=self.bn_splits,
            generator=self.random.generator,
            gather=distributed.gather_rows_with_gradient,
        )
        keys = normalize(keys.float(), dim=1)  # (M, C), of all processes
        labels = labels_of_own(len(source_ids), source_ids.device)
        repeats = repeats_in_batch(source_ids)
        self.embeddings = queries[0].detach(), keys[labels].detach()
        return mean_of(
            in_batch_nce(query, keys, labels, tau=self.tau, masked=repeats) for query in queries
        )
