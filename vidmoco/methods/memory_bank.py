"""The memory bank, of InstDisc and as MoCo compares it (He et al. 2020, figure 2b).

InstDisc: Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance
Discrimination", CVPR 2018.

An instance is a video. Its entry follows the embeddings of its frames.
"""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidmoco import distributed
from vidmoco.config.methods import MemoryBankConfig
from vidmoco.device import to_device
from vidmoco.errors import ConfigError
from vidmoco.methods.heads import build_projector
from vidmoco.methods.losses import Stats, in_batch_nce, info_nce, nce, nce_constant
from vidmoco.methods.terms import mean_of, pairs_of_views
from vidmoco.shapes import Float, Float64, Int64

MAX_INSTANCES = 2**53  # beyond that float64 does not count them one by one


class MemoryBank(nn.Module):
    """One embedding an instance, kept from the last time that it was seen."""

    embeddings: tuple[Tensor, Tensor]
    """Queries of the last batch and their positives, for ``diagnostics``."""
    entries: Tensor
    constant: Tensor
    first_instances: Tensor | None

    def __init__(
        self,
        backbone: nn.Module,
        *,
        num_features: int,
        num_instances: int,
        dim: int = 128,
        loss: Literal["nce", "softmax", "info_nce"] = "nce",
        num_negatives: int = 4096,
        momentum: float = 0.5,
        tau: float = 0.07,
        first_instances: Int64[Tensor, " videos"] | None = None,
        instance_seconds: float | None = None,
        seed: int = 0,
    ) -> None:
        """Take ``backbone``; the head is one linear layer.

        An instance is a video, or each ``instance_seconds`` of one; ``first_instances`` has then
        the first of each video.

        ``softmax`` is over all instances, the others tell the entry of the query's instance from
        ``num_negatives`` entries drawn with replacement, for each query (``nce``) or for all
        together (``info_nce``).
        """
        super().__init__()
        projector = build_projector("linear", num_features=num_features, dim=dim)
        self.encoder = nn.Sequential(backbone, projector)
        # Uniform, as in the authors' code: of unit length on average, entries have no direction.
        bound = 1 / math.sqrt(dim / 3)
        self.register_buffer("entries", torch.empty(num_instances, dim).uniform_(-bound, bound))
        self.register_buffer("constant", torch.zeros(()))  # Z; 0: not estimated yet
        self.loss, self.num_negatives = loss, num_negatives
        self.momentum, self.tau = momentum, tau
        self.register_buffer("first_instances", first_instances, persistent=False)
        self.instance_seconds = instance_seconds
        self.generator = torch.Generator().manual_seed(seed)
        self._waiting: list[tuple[Tensor, Tensor]] = []

    @property
    def backbone(self) -> nn.Module:
        """What a run is for."""
        return self.encoder[0]

    def forward(
        self,
        views: list[Float[Tensor, "n 3 _ _"]],
        *,
        source_ids: Int64[Tensor, " n"],
        times: Float64[Tensor, "n f"],
        progress: float = 0.0,
        first: bool = True,
        last: bool = True,
    ) -> tuple[Float[Tensor, ""], Stats]:
        """Return the loss of the first view, and its diagnostics.

        One view a sample, as in the paper: the other view of the pair is not looked at. Small crops
        are further queries.
        """
        queries = {
            q: normalize(self.encoder(views[q]).float(), dim=1)
            for q, _ in pairs_of_views(len(views), symmetric=False)
        }
        # View v is of frame v, and after the last frame of the first again.
        instances = {q: self._instances(source_ids, times[:, q % times.shape[1]]) for q in queries}
        loss, stats = mean_of(self._contrast(queries[q], instances[q]) for q in queries)
        self.embeddings = queries[0].detach(), self.entries[instances[0]]
        self._waiting.append((queries[0].detach(), instances[0]))
        if last:
            waiting = [map(distributed.gather_rows, one) for one in self._waiting]
            self._update(*map(torch.cat, zip(*waiting, strict=True)))
            self._waiting.clear()
        return loss, stats

    def _instances(
        self, source_ids: Int64[Tensor, " n"], times: Float64[Tensor, " n"]
    ) -> Int64[Tensor, " n"]:
        if self.first_instances is None or self.instance_seconds is None:
            return source_ids
        return self.first_instances[source_ids] + (times / self.instance_seconds).round().long()

    def _contrast(
        self, query: Float[Tensor, "n c"], instances: Int64[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Stats]:
        if self.loss == "softmax":
            return in_batch_nce(query, self.entries.clone(), instances, tau=self.tau)
        positive = self.entries[instances]
        if self.loss == "info_nce":
            return info_nce(query, positive, self.entries[self._drawn()], tau=self.tau)
        drawn = self._drawn(len(query) * distributed.world_size())
        noise = self.entries[drawn.split(len(query))[distributed.rank()]]
        num_instances = len(self.entries)
        estimate = nce_constant(query, noise, tau=self.tau, num_instances=num_instances)
        estimate = distributed.gather_rows(estimate[None]).mean()
        # From the first batch, once and for all (section 3.2).
        self.constant.copy_(torch.where(self.constant == 0, estimate, self.constant))
        return nce(
            query,
            positive,
            noise,
            tau=self.tau,
            num_instances=num_instances,
            constant=self.constant.clone(),
        )

    def _drawn(self, *shape: int) -> Int64[Tensor, "..."]:
        """Return instances drawn with replacement, among them the query's own now and then."""
        size = (*shape, self.num_negatives)
        drawn = torch.randint(len(self.entries), size, generator=self.generator)
        return to_device(drawn, self.entries.device)

    @torch.no_grad()
    def _update(self, query: Float[Tensor, "n c"], instances: Int64[Tensor, " n"]) -> None:
        """Move the entries of a batch towards its embeddings, and back to unit length."""
        moved = self.entries[instances].lerp(query.to(self.entries.dtype), 1 - self.momentum)
        self.entries.index_copy_(0, instances, normalize(moved, dim=1))


def count_instances(
    config: MemoryBankConfig, durations: Float64[np.ndarray, " videos"]
) -> Int64[np.ndarray, " videos"]:
    """Return how many instances each video has; durations in seconds.

    Raises:
        ConfigError: there are more than whole numbers can count.
    """
    if config.instance_seconds is None:
        return np.ones(len(durations), dtype=np.int64)
    # Rounded, as times are: prepared frames lie a little before multiples of 1 / fps.
    counts = np.rint(durations / config.instance_seconds) + 1
    if not counts.sum() < MAX_INSTANCES:
        raise ConfigError(
            f"--method.instance-seconds is {config.instance_seconds:g}: {counts.sum():.3g} "
            "instances. Give more seconds."
        )
    return counts.astype(np.int64)


def build_memory_bank(
    config: MemoryBankConfig,
    *,
    backbone: nn.Module,
    num_features: int,
    durations: Float64[np.ndarray, " videos"],
    seed: int,
) -> MemoryBank:
    """Return the method that ``config`` describes, for videos of such durations, in seconds."""
    counts = count_instances(config, durations)
    return MemoryBank(
        backbone,
        num_features=num_features,
        num_instances=int(counts.sum()),
        first_instances=torch.from_numpy(counts.cumsum() - counts),
        instance_seconds=config.instance_seconds,
        dim=config.dim,
        loss=config.loss,
        num_negatives=config.num_negatives,
        momentum=config.momentum,
        tau=config.tau,
        seed=seed,
    )
