"""What this process may compute with, as far as it is known before torch is imported."""

import os
from math import ceil
from pathlib import Path

from vidmoco.cgroup import cpu_limit


def num_cores() -> int:
    """Return the number of cores that this process may use, also in a container with a quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(cores, ceil(cpu_limit() or cores))


def sees_gpu() -> bool:
    """Return whether there is an NVIDIA GPU that CUDA_VISIBLE_DEVICES does not hide."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()  # dxg: under Windows
