"""The processes that torchrun started, or the one there is.

Every function is a plain no-op for a single process, so callers do not ask which case it is.
Tensors on the CPU travel by gloo, tensors on a GPU by NCCL.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from inspect import signature
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")

# Rank 0 fits and scores alone while the others wait for it at the next gather; a probe on a million
# images takes longer than the default half hour. torchrun ends the others when one process dies.
_PATIENCE = timedelta(hours=12)

# Newer torch has another name for it, and warns of the old one.
_KEEP_BUFFERS = "forward_sync_buffers"
if _KEEP_BUFFERS not in signature(DistributedDataParallel).parameters:
    _KEEP_BUFFERS = "broadcast_buffers"


def init_from_environment(device: torch.device | None = None) -> torch.device:
    """Join the other processes of a torchrun launch, if this is one.

    Args:
        device: Where this process computes; None: the CPU. A CUDA device without an index becomes
            the one of this process on its machine (LOCAL_RANK).

    Returns:
        The device of this process.
    """
    device = device or torch.device("cpu")
    if device == torch.device("cuda"):
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    launched = "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
    if launched and not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group(backend, timeout=_PATIENCE)
    return device


@contextmanager
def processes_from_environment(device: torch.device | None = None) -> Iterator[torch.device]:
    """``init_from_environment`` for a ``with`` block; leaves the group again if it joined it."""
    joined_before = dist.is_initialized()
    try:
        yield init_from_environment(device)
    finally:
        if dist.is_initialized() and not joined_before:
            dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process, 0 for the one that prints and writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_world_size() -> int:
    """Return the number of processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if dist.is_initialized() else 1


def is_main() -> bool:
    """Return whether this process is the one that prints and writes."""
    return rank() == 0


def shard(num_rows: int) -> range:
    """Return the rows of this process: one block of neighbours, sizes differing by one at most.

    The blocks in the order of the ranks are all rows in order, so ``gather_rows`` restores them.
    """
    this, all_ = rank(), world_size()
    return range(num_rows * this // all_, num_rows * (this + 1) // all_)


def gather_rows(tensor: Tensor) -> Tensor:
    """Return the rows of all processes in the order of their ranks, on every process.

    Args:
        tensor: (n, ...) of any dtype; n may differ from process to process, the rest may not.
    """
    if world_size() == 1:
        return tensor
    own = torch.tensor([tensor.shape[0]], device=tensor.device)
    counts = [torch.zeros_like(own) for _ in range(world_size())]
    dist.all_gather(counts, own)
    sizes = [int(count) for count in counts]
    # gather wants equal shapes: pad with zero rows, cut them off again.
    padding = [0, 0] * (tensor.ndim - 1) + [0, max(sizes) - tensor.shape[0]]
    padded = F.pad(tensor, padding).contiguous()
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def gather_rows_with_gradient(tensor: Tensor) -> Tensor:
    """Return ``gather_rows`` of equally many rows a process, with gradients to all of them.

    The gradient of a row is the sum of those that the processes have for it.
    """
    return tensor if world_size() == 1 else _Gather.apply(tensor)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        context.num_rows = len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        own: Tensor = gradient.split(context.num_rows)[rank()]
        return own


def on_all_ranks(method: nn.Module, device: torch.device) -> nn.Module:
    """Return the method, wrapped where several processes train it: gradients are averaged.

    Buffers are each process's own: the queue is the same everywhere, and statistics of batch norms
    are those of its rank, of which the first one's are kept.
    """
    if world_size() == 1:
        return method
    keep_buffers: dict[str, Any] = {_KEEP_BUFFERS: False}
    return DistributedDataParallel(
        method, device_ids=[device] if device.type == "cuda" else None, **keep_buffers
    )


def without_averaging(replica: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which gradients stay in their process: of micro-batches but the last."""
    if isinstance(replica, DistributedDataParallel):
        return replica.no_sync()
    return nullcontext()


def any_of(flag: bool) -> bool:
    """Return whether the flag of any process is set; all get the same answer."""
    if world_size() == 1:
        return flag
    flags = torch.tensor([flag], dtype=torch.int32)  # on the CPU: no device waits for it
    dist.all_reduce(flags, op=dist.ReduceOp.MAX)
    return bool(flags)


@contextmanager
def main_first() -> Iterator[None]:
    """Run a block on the main process, and then on the others."""
    if not is_main():
        any_of(False)  # waits for all; on the CPU, where dist.barrier may take a wrong GPU
    yield
    if is_main():
        any_of(False)


def gather_objects(item: T) -> list[T]:
    """Return the ``item`` of every process in the order of their ranks, on every process."""
    if world_size() == 1:
        return [item]
    items: list[T | None] = [None] * world_size()
    dist.all_gather_object(items, item)
    return [gathered for gathered in items if gathered is not None]
