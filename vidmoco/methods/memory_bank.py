"""The memory bank of InstDisc, to which MoCo is compared (He et al. 2020, figure 2b).

InstDisc: Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance
Discrimination", CVPR 2018.
"""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidmoco import distributed
from vidmoco.device import to_device
from vidmoco.errors import ConfigError
from vidmoco.methods.heads import build_projector
from vidmoco.methods.losses import Stats, in_batch_nce, info_nce, nce, nce_constant
from vidmoco.methods.protocol import Inputs, Method
from vidmoco.methods.random_state import RandomState
from vidmoco.methods.terms import mean_of, pairs_of_views, times_of_view
from vidmoco.shapes import Float, Float64, Int64

MAX_INSTANCES = 2**53  # float64 cannot count further one by one


class MemoryBank(Method):
    """The bank holds one embedding per instance, which follows the embeddings of its frames."""

    syncs_batch_norm = False
    entries: Tensor
    constant: Tensor
    first_instances: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        inputs: Inputs,
        *,
        dim: int,
        loss: Literal["nce", "softmax", "info_nce"],
        instance_seconds: float | None,
        num_negatives: int,
        momentum: float,
        tau: float,
    ) -> None:
        """Put one linear layer on ``backbone``.

        An instance is a video, or each ``instance_seconds`` of one. The loss ``softmax`` is over
        all instances. The other losses contrast the entry of the query's instance with
        ``num_negatives`` entries drawn with replacement, separately for each query (``nce``) or
        once for all queries (``info_nce``).
        """
        super().__init__()
        projector = build_projector("linear", num_features=inputs.num_features, dim=dim)
        self.encoder = nn.Sequential(backbone, projector)
        counts = torch.from_numpy(count_instances(inputs.durations, seconds=instance_seconds))
        # Uniform, as in the authors' code: entries have unit length on average.
        bound = 1 / math.sqrt(dim / 3)
        self.register_buffer("entries", torch.empty(int(counts.sum()), dim).uniform_(-bound, bound))
        self.register_buffer("constant", torch.zeros(()))  # Z, or 0 before it is estimated
        self.loss, self.num_negatives = loss, num_negatives
        self.momentum, self.tau = momentum, tau
        self.register_buffer("first_instances", counts.cumsum(0) - counts, persistent=False)
        self.instance_seconds = instance_seconds
        self.random = RandomState(inputs.seed)
        self.embeddings = torch.empty(0, dim), torch.empty(0, dim)
        self._waiting: list[tuple[Tensor, Tensor]] = []

    def forward(
        self,
        views: list[Float[Tensor, "n 3 _ _"]],
        *,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, "n f"],
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the loss of the first view, and its diagnostics.

        The paper has one view per sample, so the second view is not used. Small crops are
        additional queries.
        """
        queries = {
            q: normalize(self.encoder(views[q]).float(), dim=1)
            for q, _ in pairs_of_views(len(views), symmetric=False)
        }
        instances = {q: self._instances(source_ids, times_of_view(times, q)) for q in queries}
        loss, stats = mean_of(self._contrast(queries[q], instances[q]) for q in queries)
        self.embeddings = queries[0].detach(), self.entries[instances[0]]
        self._waiting.append((queries[0].detach(), instances[0]))
        return loss, stats

    @torch.no_grad()
    def end_step(self) -> None:
        """Move the entries of the batch towards its embeddings, and normalise them."""
        gathered = [map(distributed.gather_rows, one) for one in self._waiting]
        query, instances = map(torch.cat, zip(*gathered, strict=True))
        # An instance that a batch has several times moves towards the mean of its embeddings.
        same = (instances[:, None] == instances).float()
        first = same.argmax(1)  # where each instance comes first; no wait for a GPU
        sums = torch.zeros_like(query).index_add_(0, first, query)
        query = sums[first] / same.sum(1, keepdim=True)
        moved = self.entries[instances].lerp(query.to(self.entries.dtype), 1 - self.momentum)
        self.entries.index_copy_(0, instances, normalize(moved, dim=1))
        self._waiting.clear()

    def _instances(
        self, source_ids: Int64[Tensor, " n"], times: Float64[Tensor, " n"]
    ) -> Int64[Tensor, " n"]:
        if self.instance_seconds is None:
            return source_ids
        return self.first_instances[source_ids] + (times / self.instance_seconds).round().long()

    def _contrast(
        self, query: Float[Tensor, "n c"], instances: Int64[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Stats]:
        if self.loss == "softmax":
            return in_batch_nce(query, self.entries, instances, tau=self.tau)
        positive = self.entries[instances]
        if self.loss == "info_nce":
            return info_nce(query, positive, self.entries[self._draw()], tau=self.tau)
        drawn = self._draw(len(query) * distributed.world_size())
        noise = self.entries[drawn.split(len(query))[distributed.rank()]]
        num_instances = len(self.entries)
        # The authors' code takes the mean over the positive too (10 % of Z at K = 20).
        seen = torch.cat([positive[:, None], noise], dim=1)
        estimate = nce_constant(query, seen, tau=self.tau, num_instances=num_instances)
        estimate = distributed.gather_rows(estimate[None]).mean()
        # Z is estimated from the first batch and then fixed (section 3.2).
        self.constant.copy_(torch.where(self.constant == 0, estimate, self.constant))
        return nce(
            query,
            positive,
            noise,
            tau=self.tau,
            num_instances=num_instances,
            constant=self.constant.clone(),
        )

    def _draw(self, *shape: int) -> Int64[Tensor, "..."]:
        """Draw instances with replacement. The query's own instance may be among them."""
        size = (*shape, self.num_negatives)
        drawn = torch.randint(len(self.entries), size, generator=self.random.generator)
        return to_device(drawn, self.entries.device)


def count_instances(
    durations: Float64[np.ndarray, " videos"], *, seconds: float | None
) -> Int64[np.ndarray, " videos"]:
    """Return the number of instances of each video. Durations and ``seconds`` are in seconds.

    Raises:
        ConfigError: there are more than ``MAX_INSTANCES``.
    """
    if seconds is None:
        return np.ones(len(durations), dtype=np.int64)
    # Rounded like the times of frames: prepared frames lie slightly before multiples of 1 / fps.
    counts = np.rint(durations / seconds) + 1
    if not counts.sum() < MAX_INSTANCES:
        raise ConfigError(
            f"--method.instance-seconds is {seconds:g}, which makes {counts.sum():.3g} instances. "
            "Give more seconds."
        )
    return counts.astype(np.int64)
