"""How child processes start, for those that read files and those of a DataLoader.

Python has a new process import the user's script again, which starts everything anew unless all of
it is below ``if __name__ == "__main__":``. What our processes do is in this package, so they leave
the script alone: vidmoco works in a plain script and in a notebook.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess


@contextmanager
def _script_hidden() -> Iterator[None]:
    """Hide where the script is, so that a process that starts now does not import it."""
    main = sys.modules["__main__"]
    hidden = {name: value for name, value in vars(main).items() if name in ("__file__", "__spec__")}
    vars(main).update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        vars(main).update(hidden)


class _Spawned(SpawnProcess):
    def start(self) -> None:
        with _script_hidden():
            super().start()


class _Forked(ForkServerProcess):
    def start(self) -> None:
        with _script_hidden():
            super().start()


class _Spawn(SpawnContext):
    Process = _Spawned


class _ForkServer(ForkServerContext):
    Process = _Forked


SPAWN = _Spawn()
"""Starts processes that inherit nothing."""
FORK_SERVER = _ForkServer()
"""Forks processes from one that has imported ``vidmoco.preload``: torch is imported once."""
FORK_SERVER.set_forkserver_preload(["vidmoco.preload"])
