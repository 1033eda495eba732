"""The optimiser of the papers."""

from collections.abc import Iterable

import torch
from torch import nn


def build_sgd(
    parameters: Iterable[nn.Parameter], *, momentum: float, weight_decay: float
) -> torch.optim.SGD:
    """Return SGD over all parameters that train; weight decay on every one, biases and norms too.

    The learning rate is set before each step (``set_learning_rate``).
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    fused = all(parameter.is_cuda for parameter in trained)
    return torch.optim.SGD(
        trained, lr=0.0, momentum=momentum, weight_decay=weight_decay, fused=fused or None
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the learning rate ``lr``."""
    for group in optimizer.param_groups:
        group["lr"] = lr
