"""CPU time and memory of this process and all below it, as Linux counts them; for benchmarks."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds() -> float:
    """Return the CPU time used so far by this process and its children, ended ones too."""
    return sum(_times(pid) for pid in _family())


def memory_bytes() -> int:
    """Return the memory in use now; what processes share is counted once."""
    total = 0
    for pid in _family():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:  # it has just ended
            continue
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total


@contextmanager
def peak_memory(every_seconds: float = 1.0) -> Iterator[list[int]]:
    """Read ``memory_bytes`` again and again; the greatest is in the list when the block ends."""
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
    # After the name in brackets: state, parent, …; fields 14 to 17 of proc(5) are the times of the
    # process and of its children that have ended.
    fields = _stat(pid)
    return sum(int(field) for field in fields[11:15]) / _TICKS if fields else 0.0


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _family() -> set[int]:
    """Return this process and all that it, or they, have started."""
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
