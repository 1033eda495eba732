"""The limits of the control group of this process: those of a container or a job of a cluster.

Source: the kernel's documentation, admin-guide/cgroup-v2.rst and cgroup-v1.
"""

import os
from collections.abc import Iterator
from pathlib import Path

_MOUNT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cpu_limit(mount: Path = _MOUNT, own: Path = _OWN) -> float | None:
    """Return how many cores' time this process may use, or None if there is no limit.

    Args:
        mount: where the control groups are mounted.
        own: the file that names those of this process.
    """
    limits = []
    for folder in _folders("cpu", mount, own):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if not quota:  # version 1
            quota, period = (_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal() and int(period):  # "max" and -1 are none
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_of_machine() -> int:
    """Return the memory that this process may use, in bytes: the machine's, or less."""
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(installed, memory_limit() or installed)


def memory_limit(mount: Path = _MOUNT, own: Path = _OWN) -> int | None:
    """Return how many bytes of memory this process and its group may use, or None."""
    limits = []
    for folder in _folders("memory", mount, own):
        limit = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")
        if limit.isdecimal():
            limits.append(int(limit))
    return min(limits, default=None)


def _folders(controller: str, mount: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of the groups of this process, and of all above them."""
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = mount / controller if controllers else mount
        # In a container the path may be that outside, and its own group is the mounted one.
        group = Path(path.lstrip("/"))
        yield from (root / part for part in (group, *group.parents))


def _text(file: Path) -> str:
    """Return the text of a file, or an empty one if there is none."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
