"""The device of a command: its name, threads, memory, copies and precision."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn

from vidmoco.cgroup import memory_of_machine
from vidmoco.cores import num_cores
from vidmoco.distributed import local_world_size
from vidmoco.errors import ConfigError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_LARGEST_KEPT = 2**25  # bytes of a block; the maximum of glibc on 64 bits, see mallopt(3)


def resolve_device(name: str) -> torch.device:
    """Return the device of a ``--device`` flag. ``auto`` is CUDA where the machine has it.

    ``cuda`` has no number then: which one is this process's, ``own_gpu`` says.

    Raises:
        ConfigError: torch does not know the name, or the machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
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
                "devices. Give cpu or auto, or check the driver with nvidia-smi."
            )
    elif device.type != "cpu":
        raise ConfigError(
            f"The device {name!r} is not supported; expected auto, cpu, cuda or cuda:N."
        )
    return device


def memory_of(device: torch.device) -> int:
    """Return the total memory of a device in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return memory_of_machine()


def use_threads(device: torch.device, asked: int | None, *, beside_decoders: bool) -> None:
    """Set the number of threads for training on a CPU.

    The default is what the user says with ``OMP_NUM_THREADS``, else one thread per core, or half of
    that ``beside_decoders``. (torchrun sets the variable to 1 itself, so it says nothing there.)
    The threads of one operation wait for each other: if a decoding worker holds the core of one,
    all wait. On 2 busy cores, one thread trained twice as many pairs a second as two. From prepared
    frames, whose reading takes a twentieth of the time, two threads trained 1.5 times as many
    (measured).
    """
    if device.type == "cpu":
        users = None if "LOCAL_WORLD_SIZE" in os.environ else os.environ.get("OMP_NUM_THREADS")
        if asked is None and users:
            return  # torch has read it
        cores = num_cores() // local_world_size()
        torch.set_num_threads(asked or max(1, cores // (2 if beside_decoders else 1)))


def keep_freed_memory(device: torch.device) -> None:
    """Let the process keep the memory that a training step on a CPU frees, for the next step.

    glibc returns large blocks to the system at once, and the next step pays for new, zeroed pages:
    20,000 page faults a step of ResNet-18 at 64 px. With kept memory a step takes 6 % less CPU time
    and its views 16 % less, at the same peak memory (measured). Other C libraries are left alone.
    """
    if device.type != "cpu" or not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def use_channels_last(module: nn.Module) -> None:
    """Put weights into the memory format that is fast for convolutions.

    ``Module.to`` does it too, and refuses a network that has weights of five axes.
    """
    for weights in module.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.to(memory_format=torch.channels_last)
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.ndim == 4:  # replaced: a tensor of inference mode cannot be changed
                setattr(part, name, buffer.to(memory_format=torch.channels_last))


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to ``device``; to CUDA without waiting, from pinned memory."""
    if device.type == "cuda":
        values = values.pin_memory()  # returns ``values`` if they are pinned
    return values.to(device, non_blocking=True)


def to_device_ahead(values: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to ``device``; CUDA copies while it still computes earlier work.

    ``values`` may be overwritten at once, unless they are pinned.
    """
    if device.type != "cuda":
        return values.to(device)
    stream, copy_stream = torch.cuda.current_stream(device), _copy_stream(device)
    with torch.cuda.stream(copy_stream):
        copied = to_device(values, device)
    stream.wait_stream(copy_stream)
    copied.record_stream(stream)  # its memory belongs to ``copy_stream``, which runs ahead
    return copied


@cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


@contextmanager
def float32_by_default() -> Iterator[None]:
    """Build networks of float32 within, whatever ``torch.set_default_dtype`` said before."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def training_precision(
    device: torch.device, asked: Literal["auto", "bf16", "fp32"]
) -> Literal["bf16", "fp32"]:
    """Return the arithmetic of a training: the one that was asked for, or the faster one.

    That is bf16 where there are units for it: CUDA from Ampere on, and CPUs with AMX or AVX-512
    BF16. On a CPU with AVX2 alone a step of ResNet-18 took 10 times as long in bf16 (measured).
    """
    if asked != "auto":
        return asked
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        units = "_is_amx_tile_supported", "_is_avx512_bf16_supported"  # not in every torch
        native = device.type == "cpu" and any(getattr(torch.cpu, unit, bool)() for unit in units)
    return "bf16" if native else "fp32"


def autocast(
    device: torch.device, precision: Literal["auto", "bf16", "fp32"]
) -> AbstractContextManager[None]:
    """Return the context in which models run: bf16 autocast or float32."""
    in_bf16 = training_precision(device, precision) == "bf16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=in_bf16)
