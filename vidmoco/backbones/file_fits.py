"""Refuse a network that a file of weights cannot fill, before memory is taken for it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from vidmoco.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]
# A network has about as many parameters, and up to twice as many modules, as its file has tensors
# (98 families of timm). The rest is room for what a file does not hold: masks, tables of positions.
_MORE_TENSORS, _MORE_VALUES = 256, 2**26


class _TooLarge(Exception):
    """The network has more than its file."""


def shapes_in(path: Path) -> Shapes:
    """Return the shape of each tensor of a ``.safetensors`` file. Only its header is read.

    Raises:
        SafetensorError: the file is damaged.
    """
    with safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def require_fit(build: Callable[[], nn.Module], shapes: Shapes, *, source: str) -> None:
    """Build a network without memory, and compare it with the tensors of its file.

    Args:
        build: makes the network that a folder describes.
        shapes: of the tensors in the file.
        source: the folder, for errors.

    Raises:
        CheckpointError: the network cannot be built, has more than the file, or other shapes.
    """
    try:
        with torch.device("meta"), _bounded(shapes):
            network = build()
    except _TooLarge as error:
        raise CheckpointError(
            f"{source} describes a larger network than its weights: {error}. It is damaged, or "
            "made to fill the memory."
        ) from error
    for name, tensor in network.state_dict().items():
        if name in shapes and shapes[name] != tuple(tensor.shape):
            raise CheckpointError(
                f"The weights of {source} are not of the network that it describes: {name} has the "
                f"shape {shapes[name]}, expected {tuple(tensor.shape)}."
            )


@contextmanager
def _bounded(shapes: Shapes) -> Iterator[None]:
    """Refuse more parameters, modules or values than those of a file, and some more."""
    values = sum(torch.Size(shape).numel() for shape in shapes.values())
    most = {
        "tensors": 2 * len(shapes) + _MORE_TENSORS,
        "modules": 4 * len(shapes) + 4 * _MORE_TENSORS,
        "values": 2 * values + _MORE_VALUES,
    }
    found = dict.fromkeys(most, 0)

    def count(kind: str, number: int) -> None:
        found[kind] += number
        if found[kind] > most[kind]:
            raise _TooLarge(f"more than {most[kind]:,} {kind}, and the file has {len(shapes):,}"
                            f" tensors of {values:,} values")  # fmt: skip

    def on_tensor(_: nn.Module, __: str, tensor: Any) -> None:
        if tensor is not None:
            count("tensors", 1)
            count("values", tensor.numel())

    hooks = [
        register_module_parameter_registration_hook(on_tensor),
        register_module_buffer_registration_hook(on_tensor),
        register_module_module_registration_hook(lambda *_: count("modules", 1)),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
