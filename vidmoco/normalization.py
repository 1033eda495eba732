"""Split batch norm: one device normalises its batch as several would (MoCo's Shuffling BN)."""

from typing import Any

import torch
from torch import Tensor, nn


class SplitBatchNorm:
    """Mixed into a batch-norm class: training statistics over each of ``num_splits`` equal parts.

    Part i holds the i-th contiguous slice of the batch, which is what rank i of several would hold.
    Names and shapes of the state do not change, so the backbone stays stock.

    NOTE: ranks keep running statistics of rank 0's part only. Here every part moves them, each by a
    part of the momentum, so they follow the mean over the parts.
    """

    num_splits: int
    momentum: float | None
    training: bool

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (N, ...) part by part in training, as a whole in evaluation."""
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
    """Turn every batch norm of ``model`` into a split one, in place. 1 split changes nothing."""
    if num_splits == 1:
        return model
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            kind = type(module)
            if issubclass(kind, SplitBatchNorm):
                raise ValueError("the batch norms of this model are split already")
            if kind not in _SPLIT_CLASSES:
                _SPLIT_CLASSES[kind] = type(f"Split{kind.__name__}", (SplitBatchNorm, kind), {})
            module.__class__ = _SPLIT_CLASSES[kind]
            module.num_splits = num_splits  # type: ignore[assignment]
    return model


_SPLIT_CLASSES: dict[type[nn.Module], Any] = {}
