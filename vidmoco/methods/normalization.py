"""Batch norm over parts of a batch (MoCo's Shuffling BN), or over the batches of all processes."""

from collections.abc import Callable
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn

from vidmoco import distributed
from vidmoco.device import to_device
from vidmoco.shapes import Float


class SplitBatchNorm:
    """A mixin for batch norms: in training, each of ``num_splits`` equal parts has own statistics.

    Part i is the i-th contiguous slice of the batch, which rank i of several would hold. Names and
    shapes of the state do not change, so the backbone stays loadable by timm.

    NOTE: with several ranks, running statistics come from rank 0's part only. Here every part
    updates them with a fraction of the momentum, so they follow the mean over the parts.
    """

    num_splits: int
    momentum: float | None
    training: bool

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (N, ...), part by part in training and as a whole in evaluation."""
        whole = super().forward  # type: ignore[misc]
        if not self.training:
            return whole(x)  # type: ignore[no-any-return]
        if len(x) % self.num_splits:
            raise ValueError(f"{len(x) = } is not a multiple of {self.num_splits = }")
        momentum = self.momentum
        self.momentum = None if momentum is None else momentum / self.num_splits
        try:
            return torch.cat([whole(part) for part in x.chunk(self.num_splits)])
        finally:
            self.momentum = momentum


def split_batch_norm(model: nn.Module, num_splits: int) -> nn.Module:
    """Split every batch norm of ``model`` in place. ``num_splits`` 1 changes nothing."""
    if num_splits == 1:
        return model
    if any(isinstance(module, SplitBatchNorm) for module in model.modules()):
        raise ValueError("the batch norms of this model are already split")
    for module in _mix_in(SplitBatchNorm, "Split", model):
        module.num_splits = num_splits  # type: ignore[assignment]
    return model


def _mix_in(mixin: type, prefix: str, model: nn.Module) -> list[nn.Module]:
    """Give a mixin to the classes of a model's batch norms, and return these."""
    found = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for module in found:
        kind = type(module)
        module.__class__ = _CLASSES.setdefault(
            (mixin, kind), type(f"{prefix}{kind.__name__}", (mixin, kind), {})
        )
    return found  # type: ignore[return-value]


_CLASSES: dict[tuple[type, type], Any] = {}


def encode_shuffled(
    encoder: nn.Module,
    view: Float[Tensor, "n 3 s s"],
    *,
    bn_splits: int,
    generator: torch.Generator,
    gather: Callable[[Tensor], Tensor] = distributed.gather_rows,
) -> Float[Tensor, "m c"]:
    """Encode the views of all processes in random order, and return the results in input order.

    This is Shuffling BN (He et al. 2020, section 3.3): a key and its query get different batch
    statistics. One permutation shuffles the views over all processes and over the parts of their
    batch norms, and each process encodes its share. ``gather`` collects the results, with or
    without gradients.
    """
    if bn_splits == 1 and distributed.world_size() == 1:
        return encoder(view)  # type: ignore[no-any-return]
    everything = distributed.gather_rows(view)
    order = torch.randperm(len(everything), generator=generator)  # the same on every process
    to_parts, back = to_device(torch.stack([order, order.argsort()]), view.device)
    own = distributed.shard(len(everything))
    return gather(encoder(everything[to_parts[own.start : own.stop]]))[back]


class GatheredBatchNorm:
    """A mixin for batch norms: in training, statistics are over the batches of all processes.

    It is for CPUs, where torch has no ``SyncBatchNorm``. Every process normalises all rows and
    keeps its own.
    """

    training: bool

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (N, ...), with gradients to the rows of all processes."""
        whole = super().forward  # type: ignore[misc]
        if not self.training:
            return whole(x)  # type: ignore[no-any-return]
        everything = whole(distributed.gather_rows_with_gradient(x))
        # narrow, because the next layer may work in place, which is an error on views of a split
        return everything.narrow(0, len(x) * distributed.rank(), len(x))  # type: ignore[no-any-return]


def sync_batch_norm(model: nn.Module) -> nn.Module:
    """Make every batch norm of ``model`` use the statistics of all processes.

    The model must be on its device already. With a single process nothing changes.
    """
    if distributed.world_size() == 1:
        return model
    if any(parameter.is_cuda for parameter in model.parameters()):
        # timm's function, because torch's would drop the activation inside timm's batch norms.
        synced: nn.Module = convert_sync_batchnorm(model)
        return synced
    _mix_in(GatheredBatchNorm, "Gathered", model)
    return model
