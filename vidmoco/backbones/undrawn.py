"""Build a network whose weights come from a file without drawing random ones first."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

# Layers begin with these, and nothing looks at what they have made. The inverse error function
# turns uniform numbers into normal ones.
_LEFT_OUT = {init.normal_, init.uniform_, init.kaiming_uniform_, Tensor.erfinv_}
# torch may draw again what is too large, so these are numbers of the right kind.
_REPEATED = {Tensor.normal_, Tensor.uniform_}
_BLOCK = 2**14  # numbers: drawn in 0.1 ms


class Undrawn(TorchFunctionMode):
    """Within the block, few random numbers are drawn, and large tensors repeat them.

    Drawing the weights of a ViT-L takes two seconds. It is for networks that are filled by a file
    with all of their weights. Random numbers that follow are not those that follow a drawn network.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the tensor as it is or with few numbers, or what another function returns."""
        kwargs = kwargs or {}
        if func in _LEFT_OUT:
            return args[0] if args else kwargs["tensor"]  # so torch calls those of its init
        if func in _REPEATED and args[0].numel() > _BLOCK and args[0].is_contiguous():
            numbers = args[0].view(-1)
            block = func(numbers[:_BLOCK], *args[1:], **kwargs)
            whole = len(numbers) // _BLOCK * _BLOCK
            numbers[_BLOCK:whole].view(-1, _BLOCK).copy_(block)
            numbers[whole:].copy_(block[: len(numbers) - whole])
            return args[0]
        return func(*args, **kwargs)
