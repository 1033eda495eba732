"""LARS: You, Gitman, Ginsburg, "Large Batch Training of Convolutional Networks", 2017."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Lars(torch.optim.Optimizer):
    """SGD with momentum and steps in proportion to each parameter's norm, as in MoCo v3's code.

    A group with ``adapts`` takes d = g + decay p, multiplied by trust |p| / |d| (by 1 if a norm is
    0). Other groups take d = g, without decay. Then v = m v + d and p -= lr v.

    timm's LARS divides by |g| + decay |p| instead, which is LARC's rule.

    NOTE: the paper and SimCLR's code put the learning rate inside v. Both agree while the rate is
    constant.
    """

    def __init__(
        self,
        parameters: Iterable[dict[str, Any]],
        *,
        momentum: float,
        trust_coefficient: float,
    ) -> None:
        """Take parameter groups, each with its ``lr``, ``weight_decay`` and ``adapts``."""
        super().__init__(parameters, {"momentum": momentum, "trust_coefficient": trust_coefficient})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step, without waiting for the device."""
        if closure is not None:
            raise ValueError("LARS takes no closure")
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            if not trained:
                continue
            steps = [p.grad for p in trained]
            if group["adapts"]:
                steps = list(torch._foreach_add(steps, trained, alpha=group["weight_decay"]))
                torch._foreach_mul_(steps, _factors(trained, steps, group["trust_coefficient"]))
            velocities = [self._velocity(p) for p in trained]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, steps)
            torch._foreach_add_(trained, velocities, alpha=-group["lr"])

    def _velocity(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(parameter)
        velocity: Tensor = state["velocity"]
        return velocity


def _factors(parameters: list[Tensor], steps: list[Tensor], trust: float) -> list[Tensor]:
    norms = zip(torch._foreach_norm(parameters), torch._foreach_norm(steps), strict=True)
    return [torch.where((p > 0) & (d > 0), trust * p / d, torch.ones_like(p)) for p, d in norms]
