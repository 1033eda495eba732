"""Build a network whose weights come from a file without drawing random ones first."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode

# What initialisation spends its time on. The sums and limits that follow cost little.
_DRAWS = {
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    torch.Tensor.erfinv_,
    init.normal_,
    init.uniform_,
    init.kaiming_uniform_,
}


class Undrawn(TorchFunctionMode):
    """Within the block, tensors that would get random values keep what their memory holds.

    Drawing the weights of a ViT-L takes a second. It is for networks that are filled by a file with
    all of their weights. Random numbers that follow are not those that follow a drawn network.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the tensor as it is, or what another function returns."""
        kwargs = kwargs or {}
        if func in _DRAWS:
            return args[0] if args else kwargs["tensor"]  # so torch calls those of its init
        return func(*args, **kwargs)
