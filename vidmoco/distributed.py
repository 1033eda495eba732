"""Communication between the processes of torchrun.

Every function is a no-op for a single process, so callers need not check. CPU tensors are sent by
gloo, GPU tensors by NCCL (by gloo where several processes share a GPU).
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

from vidmoco.errors import ConfigError, TrainingError
from vidmoco.heartbeat import Heartbeat
from vidmoco.rendezvous import has_others, meet, whole_number

T = TypeVar("T")

# Rank 0 fits and scores alone while the others wait at the next gather. A linear probe on a million
# images takes longer than the default half hour. torchrun ends the others when one process dies;
# ``heartbeat`` notices one that is stopped or hangs.
_TIMEOUT = timedelta(hours=12)
_heartbeat: Heartbeat | None = None

# What gloo and NCCL say if a process at the other end is gone.
_LOST = (
    "gloo",
    "Gloo",
    "NCCL",
    "Connection reset",
    "Connection closed",
    "Broken pipe",
    "recvValue",
)

# Newer torch renames this argument, and warns of the old name.
_SYNC_BUFFERS = "forward_sync_buffers"
if _SYNC_BUFFERS not in signature(DistributedDataParallel).parameters:
    _SYNC_BUFFERS = "broadcast_buffers"


def own_gpu(device: torch.device) -> torch.device:
    """Return this process's GPU for a CUDA device without an index, and any other as it is.

    It is the one of the number LOCAL_RANK under torchrun, and SLURM_LOCALID under srun.

    Raises:
        ConfigError: the process sees no GPU of its number.
    """
    if device != torch.device("cuda"):
        return device
    count = torch.cuda.device_count()
    of_srun = os.environ.get("SLURM_LOCALID")
    given = whole_number("LOCAL_RANK", default=of_srun or "0")
    # With --gpus-per-task=1 each task of srun sees its own GPU as the first.
    number = 0 if count == 1 and str(given) == of_srun else given
    if number >= count:
        raise ConfigError(
            f"This is process {number + 1} of its machine, and torch {torch.__version__} sees "
            f"{count} CUDA devices, one for each process. Start {count} processes, or give all the "
            "same GPU: --device cuda:0."
        )
    return torch.device("cuda", number)


def _join(device: torch.device | None) -> torch.device:
    """Join the other processes of a torchrun launch, if this is one that is not joined yet.

    A CUDA device without an index is this process's own. One with an index is shared by all
    processes of this machine; gloo connects them, because NCCL takes no two processes of one GPU.
    """
    device = device or torch.device("cpu")
    is_shared = device.index is not None and os.environ.get("LOCAL_WORLD_SIZE", "1") != "1"
    device = own_gpu(device)
    global _heartbeat  # noqa: PLW0603
    if has_others() and not dist.is_initialized():
        by_nccl = device.type == "cuda" and not is_shared
        backend = "cpu:gloo,cuda:nccl" if by_nccl else "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
        store, this, all_, start = meet(_TIMEOUT)
        _heartbeat = Heartbeat(this, all_, start)
        dist.init_process_group(backend, store=store, rank=this, world_size=all_, timeout=_TIMEOUT)
    return device


@contextmanager
def processes_from_environment(device: torch.device | None = None) -> Iterator[torch.device]:
    """Join the other processes of a torchrun launch for a ``with`` block, if this is one.

    Args:
        device: None means the CPU. A CUDA device without an index is this process's own.

    Yields:
        The device of this process.

    Raises:
        ConfigError: there are fewer GPUs than processes, or a variable of the launcher is wrong.
        TrainingError: another process has ended. One that is stopped ends this process.
    """
    global _heartbeat  # noqa: PLW0603
    joined_before = dist.is_initialized()
    try:
        device = _join(device)
        yield device
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _LOST):
            raise
        raise TrainingError(
            f"Another process of this job has ended ({str(error).splitlines()[0][:200]}). The job "
            "ends; start it again, a training with --resume auto."
        ) from error
    finally:
        if not joined_before:
            if _heartbeat is not None:
                _heartbeat.end()
                _heartbeat = None
            if dist.is_initialized():
                dist.destroy_process_group()


def ends_soon(what: str) -> AbstractContextManager[None]:
    """Return a context for work that takes minutes at most. Hanging in it ends this process.

    Args:
        what: the work, such as "reading frames"; a line says that this process hangs in it.
    """
    return nullcontext() if _heartbeat is None else _heartbeat.watching(what)


def require_first_start() -> None:
    """Refuse to begin a run again where torchrun has restarted its processes.

    Raises:
        TrainingError: this is a restart.
    """
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":
        raise TrainingError(
            "torchrun has started this job again, because a process ended. The run goes on from "
            "its last checkpoint with --resume auto; begun again, it would be another run."
        )


def rank() -> int:
    """Return the rank of this process; rank 0 prints and writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_world_size() -> int:
    """Return the number of processes on this machine."""
    return whole_number("LOCAL_WORLD_SIZE", default="1") if dist.is_initialized() else 1


def is_main() -> bool:
    """Return whether this process is the one that prints and writes."""
    return rank() == 0


def shard(num_rows: int) -> range:
    """Return the rows of this process, a contiguous block. Block sizes differ by at most one.

    The blocks in the order of the ranks are all rows in order, so ``gather_rows`` restores them.
    """
    this, all_ = rank(), world_size()
    return range(num_rows * this // all_, num_rows * (this + 1) // all_)


def gather_rows(tensor: Tensor) -> Tensor:
    """Return the rows of all processes in the order of their ranks, on every process.

    Args:
        tensor: (n, ...) of any dtype. Only n may differ between processes.
    """
    if world_size() == 1:
        return tensor
    own = torch.tensor([tensor.shape[0]], device=tensor.device)
    counts = [torch.zeros_like(own) for _ in range(world_size())]
    dist.all_gather(counts, own)
    sizes = [int(count) for count in counts]
    # all_gather needs equal shapes: pad with zero rows, then cut them off.
    padding = [0, 0] * (tensor.ndim - 1) + [0, max(sizes) - tensor.shape[0]]
    padded = F.pad(tensor, padding).contiguous()
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def gather_rows_with_gradient(tensor: Tensor) -> Tensor:
    """Return ``gather_rows`` with gradients; each process must have equally many rows.

    The gradient of a row is the sum of its gradients in all processes.
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
    """Return the method, wrapped so that gradients are averaged if several processes train it.

    Buffers are not synchronised: the queue is the same everywhere, and each rank has its own
    statistics of batch norms, of which rank 0's are saved.
    """
    if world_size() == 1:
        return method
    # Gradients lie where they are sent from, so no step copies them.
    options: dict[str, Any] = {_SYNC_BUFFERS: False, "gradient_as_bucket_view": True}
    return DistributedDataParallel(
        method, device_ids=[device] if device.type == "cuda" else None, **options
    )


def without_averaging(replica: nn.Module) -> AbstractContextManager[None]:
    """Return a context without averaging of gradients, for all micro-batches but the last."""
    if isinstance(replica, DistributedDataParallel):
        return replica.no_sync()
    return nullcontext()


def any_of(flag: bool) -> bool:
    """Return whether the flag of any process is set; all processes get the same answer."""
    return any_of_each(flag)[0]


def any_of_each(*flags: bool) -> list[bool]:
    """Return ``any_of`` of each of several flags, by one message."""
    if world_size() == 1:
        return list(flags)
    sent = torch.tensor(flags, dtype=torch.int32)  # on the CPU: no device waits for it
    dist.all_reduce(sent, op=dist.ReduceOp.MAX)
    return [bool(flag) for flag in sent.tolist()]


@contextmanager
def main_first() -> Iterator[None]:
    """Run a block on the main process first, and then on the others."""
    if not is_main():
        any_of(False)  # a barrier on the CPU: dist.barrier may choose a wrong GPU
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
