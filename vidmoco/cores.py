"""What this process may compute with, as far as it is known before torch is imported."""

import os
import re
from math import ceil
from pathlib import Path

from vidmoco.cgroup import cpu_limit
from vidmoco.errors import ConfigError

_OTHER_GPUS = ("/dev/kfd", "/dev/nvhost-gpu", "/dev/nvgpu")  # of AMD, and of NVIDIA's boards


def num_cores() -> int:
    """Return the number of cores that this process may use, also in a container with a quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(cores, ceil(cpu_limit() or cores))


def require_device(name: str) -> None:
    """Refuse a device that cannot be here, as far as that is known without torch.

    Raises:
        ConfigError: it has no such name, or is a GPU and there is none.
    """
    if not re.fullmatch(r"auto|cpu(:\d+)?|cuda(:\d+)?", name):
        meant = " Did you mean 'cuda'?" * ("gpu" in name.lower())
        raise ConfigError(f"Unknown device {name!r}; expected auto, cpu, cuda or cuda:N.{meant}")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1")
    if not name.startswith("cuda") or sees_gpu():
        return
    if hidden or not any(Path(path).exists() for path in _OTHER_GPUS):
        why = "CUDA_VISIBLE_DEVICES hides all GPUs" if hidden else "this machine shows no GPU"
        raise ConfigError(
            f"The device {name!r} is not here: {why}. Give cpu or auto, or check the driver with "
            "nvidia-smi."
        )


def sees_gpu() -> bool:
    """Return whether there is an NVIDIA GPU that CUDA_VISIBLE_DEVICES does not hide."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()  # dxg: under Windows
