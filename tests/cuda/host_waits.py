"""Finds where a step lets the host wait for the device, on a GPU or with a CPU in its place."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# What reads a value off the device: for CUDA each is a wait.
_WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "_unique2"}


class _Finder(TorchDispatchMode):
    """Collects the lines of vidmoco that read values, of a CPU in place of a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in _WAITS or (name == "index" and _has_mask(args)):
            stack = traceback.extract_stack()
            # On a CPU an optimiser reads its own counters, which it does not on CUDA.
            if not any("torch/optim/" in frame.filename for frame in stack):
                own = [f for f in stack if "/vidmoco/" in f.filename]
                self.found.append(f"{own[-1].filename}:{own[-1].lineno} {name}" if own else name)
        return func(*args, **(kwargs or {}))


def _has_mask(args: tuple) -> bool:
    return any(one is not None and one.dtype == torch.bool for one in args[1])


@contextmanager
def no_host_waits(device: torch.device, *, allowed: int = 0) -> Iterator[None]:
    """Fail if the host waits for the device in this block.

    On a CPU at most ``allowed`` lines may read a value, those that CUDA does not run.
    """
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return
    finder = _Finder()
    with finder:
        yield
    assert len(finder.found) <= allowed, finder.found
