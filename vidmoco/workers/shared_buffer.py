"""Memory that a process shares with those it starts, and that no folder or name can leak."""

import mmap
import os
import tempfile
from multiprocessing import reduction
from typing import Any


class SharedBuffer:
    """Zeroed bytes; give it to a process that is being started, and both see ``memory``.

    It is not in /dev/shm, which containers keep small.
    """

    def __init__(self, num_bytes: int) -> None:
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("vidmoco")
        else:  # not Linux: a file without a name
            self._file, name = tempfile.mkstemp()
            os.unlink(name)  # noqa: PTH108
        os.ftruncate(self._file, num_bytes)
        self.memory = mmap.mmap(self._file, num_bytes)

    def __getstate__(self) -> dict[str, Any]:
        return {"file": reduction.DupFd(self._file), "num_bytes": len(self.memory)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._file = state["file"].detach()
        self.memory = mmap.mmap(self._file, state["num_bytes"])

    def __del__(self) -> None:
        os.close(self._file)  # the memory lives as long as something looks at it
