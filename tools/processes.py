"""CPU time and memory of this process and its descendants on Linux, for benchmarks."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds() -> float:
    """Return the CPU time of this process and its descendants, including ended ones."""
    return sum(_times(pid) for pid in _family())


def memory_bytes() -> int:
    """Return the memory in use; shared memory counts once."""
    total = 0
    for pid in _family():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:  # the process has just ended
            continue
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total


@contextmanager
def peak_memory(every_seconds: float = 1.0) -> Iterator[list[int]]:
    """Poll ``memory_bytes`` during the block; the list then holds the maximum."""
    peak = [memory_bytes()]
    done = threading.Event()

    def read() -> None:
        while not done.wait(every_seconds):
            peak[0] = max(peak[0], memory_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield peak
    finally:
        done.set()
        reader.join()
        peak[0] = max(peak[0], memory_bytes())


def _times(pid: int) -> float:
    # ``_stat`` begins after the name: state, parent, … Fields 14 to 17 of proc(5) are the times of
    # the process and of its ended children.
    fields = _stat(pid)
    return sum(int(field) for field in fields[11:15]) / _TICKS if fields else 0.0


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _family() -> set[int]:
    """Return this process and its descendants."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = _stat(int(folder.name))
            if fields:
                parents[int(folder.name)] = int(fields[1])
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family
