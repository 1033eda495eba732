"""The device a command runs on, and its arithmetic."""

import ctypes
import os
import sys
from contextlib import AbstractContextManager
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from vidmoco.cores import num_cores
from vidmoco.distributed import local_world_size
from vidmoco.errors import ConfigError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGEST_KEPT = 2**25  # bytes of a block; mallopt(3): the most that glibc takes on 64 bits


def resolve_device(name: str) -> torch.device:
    """Return the device of a ``--device`` flag; ``auto`` is CUDA where there is one.

    Under torchrun, CUDA without a number is the GPU of the process's LOCAL_RANK.

    Raises:
        ConfigError: the name is none that torch knows, or the machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"Unknown device {name!r}; expected auto, cpu, cuda or cuda:N."
        ) from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ConfigError(
                f"The device {name!r} is not here: torch {torch.__version__} sees {count} CUDA "
                "devices. "
                "Give cpu or auto, or check the driver with nvidia-smi."
            )
    elif device.type != "cpu":
        raise ConfigError(
            f"The device {name!r} is not supported; expected auto, cpu, cuda or cuda:N."
        )
    return device


def memory_of(device: torch.device) -> int:
    """Return the bytes of memory that a device has, used or not."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def use_threads(device: torch.device, asked: int | None, *, beside_decoders: bool) -> None:
    """Set the threads of a training on a CPU: ``asked``, all cores, or half ``beside_decoders``.

    The threads of one operation wait for each other. Where a decoding worker holds the core of one,
    all wait: on 2 busy cores, one thread trained twice as many pairs a second as two; from prepared
    frames, whose reading takes a twentieth of the time, two trained 1.5 times as many (measured).
    """
    if device.type == "cpu":
        cores = num_cores() // local_world_size()
        torch.set_num_threads(asked or max(1, cores // (2 if beside_decoders else 1)))


def keep_freed_memory(device: torch.device) -> None:
    """Let the process keep what a step on a CPU frees, for the next step to use.

    glibc gives large blocks back to the system at once, and the next step pays for new, zeroed
    pages: 20,000 page faults a step of ResNet-18 at 64 px. Kept, it takes 6 % less CPU time, the
    views 16 %, at the same peak memory (measured). Another C library does as it does.
    """
    if device.type != "cpu" or not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on ``device``, without a wait: from pinned memory to CUDA."""
    if device.type == "cuda":
        values = values.pin_memory()  # itself, where it is pinned
    return values.to(device, non_blocking=True)


def to_device_ahead(values: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on ``device``; CUDA copies it while it computes what came before.

    ``values`` may be written over at once, unless they are pinned: those must be left alone.
    """
    if device.type != "cuda":
        return values.to(device)
    stream, copies = torch.cuda.current_stream(device), _copies_of(device)
    with torch.cuda.stream(copies):
        copied = to_device(values, device)
    stream.wait_stream(copies)
    copied.record_stream(stream)  # its memory belongs to ``copies``, which is ahead
    return copied


@cache
def _copies_of(device: torch.device) -> torch.cuda.Stream:
    """Return the stream of a device on which values are copied while it computes."""
    return torch.cuda.Stream(device)


def autocast(
    device: torch.device, precision: Literal["bf16", "fp32"]
) -> AbstractContextManager[None]:
    """Return the context in which models run: bf16 autocast, or plain float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
