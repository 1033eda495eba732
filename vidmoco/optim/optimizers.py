"""The optimisers of the papers."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import nn

from vidmoco.config.optim import OptimConfig
from vidmoco.optim.lars import Lars

_CONSTANT, _SCALE = "constant_lr", "lr_scale"


def build_optimizer(
    parameters: Iterable[tuple[str, nn.Parameter]],
    config: OptimConfig,
    *,
    scales: Mapping[nn.Parameter, float] = MappingProxyType({}),
) -> torch.optim.Optimizer:
    """Return the optimiser of ``config`` for all named parameters that require gradients.

    Parameters of one dimension (biases, norms) have their own group if they have no decay, and so
    have those of a ``predictor`` with a constant learning rate, and those of each factor in
    ``scales``. ``set_learning_rate`` sets the rate of the other groups before each step.
    """
    groups: dict[tuple[bool, bool, float], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        if parameter.requires_grad:
            constant = config.predictor_lr is not None and name.startswith("predictor.")
            decays = config.decay_vectors or parameter.ndim > 1
            groups.setdefault((constant, decays, scales.get(parameter, 1.0)), []).append(parameter)
    fused = all(parameter.is_cuda for group in groups.values() for parameter in group)
    options = [
        {
            "params": group,
            "weight_decay": config.weight_decay if decays else 0.0,
            "lr": config.predictor_lr if constant else 0.0,
            _CONSTANT: constant,
            **({"adapts": decays} if config.name == "lars" else {}),
            **({_SCALE: scale} if scales else {}),
        }
        for (constant, decays, scale), group in groups.items()
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(options, fused=fused or None)
    if config.name == "lars":
        return Lars(options, momentum=config.momentum, trust_coefficient=config.trust_coefficient)
    return torch.optim.SGD(options, momentum=config.momentum, fused=fused or None)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group that has no constant one, times its factor."""
    for group in optimizer.param_groups:
        if not group[_CONSTANT]:
            group["lr"] = lr * group.get(_SCALE, 1.0)
