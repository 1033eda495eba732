"""The optimisers of the papers."""

from collections.abc import Iterable

import torch
from torch import nn

from vidmoco.config.optim import OptimConfig
from vidmoco.optim.lars import Lars

_CONSTANT = "constant_lr"


def build_optimizer(
    parameters: Iterable[tuple[str, nn.Parameter]], config: OptimConfig
) -> torch.optim.Optimizer:
    """Return the optimiser of ``config`` over all of the named parameters that train.

    Parameters of one dimension (biases, norms) are a group of their own where they have no decay,
    and those of a ``predictor`` where it has a constant learning rate. All else gets its rate
    before each step, from ``set_learning_rate``.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        if parameter.requires_grad:
            constant = config.predictor_lr is not None and name.startswith("predictor.")
            decays = config.decay_vectors or parameter.ndim > 1
            groups.setdefault((constant, decays), []).append(parameter)
    fused = all(parameter.is_cuda for group in groups.values() for parameter in group)
    options = [
        {
            "params": group,
            "weight_decay": config.weight_decay if decays else 0.0,
            "lr": config.predictor_lr if constant else 0.0,
            _CONSTANT: constant,
            **({"adapts": decays} if config.name == "lars" else {}),
        }
        for (constant, decays), group in groups.items()
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(options, fused=fused or None)
    if config.name == "lars":
        return Lars(options, momentum=config.momentum, trust_coefficient=config.trust_coefficient)
    return torch.optim.SGD(options, momentum=config.momentum, fused=fused or None)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give the learning rate ``lr`` to every group of parameters that has none of its own."""
    for group in optimizer.param_groups:
        if not group[_CONSTANT]:
            group["lr"] = lr
