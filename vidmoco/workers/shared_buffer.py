"""Memory that a process shares with its child processes. It has no name that could leak."""

import mmap
import os
import tempfile
import weakref
from multiprocessing import reduction
from pathlib import Path
from typing import Any

from vidmoco.atomic_file import writing


class SharedBuffer:
    """Zeroed bytes in ``memory``. A new process that gets this object shares them.

    The memory is not in /dev/shm, which is small in containers.
    """

    def __init__(self, num_bytes: int) -> None:
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("vidmoco")
        else:  # elsewhere than on Linux: a file without a name
            self._file, name = tempfile.mkstemp()
            os.unlink(name)  # noqa: PTH108
        advice = f" and try again: it needs {num_bytes / 2**20:,.0f} MiB, and counts as a file."
        with writing(Path("Memory that processes share"), advice=advice):
            os.ftruncate(self._file, num_bytes)
        self._map(num_bytes)

    def __getstate__(self) -> dict[str, Any]:
        return {"file": reduction.DupFd(self._file), "num_bytes": len(self.memory)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._file = state["file"].detach()
        self._map(state["num_bytes"])

    def _map(self, num_bytes: int) -> None:
        self.memory = mmap.mmap(self._file, num_bytes)
        # The memory lives as long as a tensor or array uses it. Not __del__: when Python ends, it
        # may run without modules. Nor when Python ends: a thread may be starting a process with it.
        weakref.finalize(self, os.close, self._file).atexit = False
