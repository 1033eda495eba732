"""How child processes start, for those that read files and those of a DataLoader.

Python has a new process import the user's script again, which starts everything anew unless all of
it is below ``if __name__ == "__main__":``. What our processes do is in this package, so they leave
the script alone: vidmoco works in a plain script and in a notebook.
"""

import atexit
import multiprocessing.forkserver
import multiprocessing.process
import multiprocessing.resource_tracker
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from typing import Any

from vidmoco.errors import ConfigError


@contextmanager
def _left_alone() -> Iterator[None]:
    """Start a process that does not import the script, and that signals to the job do not end.

    What Ctrl-C, a closed terminal and a scheduler's warning mean, this process decides. They are
    blocked from the start, or a process that still imports its libraries would end with a
    traceback.
    """
    with _HIDING:  # another thread would find the script hidden, and hide it for ever
        main = sys.modules["__main__"]
        names = [name for name in ("__file__", "__spec__") if name in vars(main)]
        hidden: dict[str, object] = {name: vars(main)[name] for name in names}
        vars(main).update(dict.fromkeys(hidden))
        multiprocessing.resource_tracker.ensure_running()  # its start would unblock SIGINT
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS_TO_THE_JOB)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            vars(main).update(hidden)


_SIGNALS_TO_THE_JOB = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_HIDING = threading.RLock()


_LONGEST_FOLDER = 60  # bytes: the name of a socket has 107 at most, and 33 follow the folder
_SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run/user")


def _keep_sockets_short() -> None:
    """Let multiprocessing name its sockets in another folder where ``TMPDIR`` is a long one."""
    settings = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    if "tempdir" in settings or len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_FOLDER:
        return
    for folder in _SHORT_FOLDERS:
        with suppress(OSError):
            short = tempfile.mkdtemp(prefix="pymp-", dir=folder)
            atexit.register(shutil.rmtree, short, ignore_errors=True)
            settings["tempdir"] = short
            return
    raise ConfigError(
        f"The folder of temporary files, {tempfile.gettempdir()}, has a name too long for a "
        f"socket, and nothing can be written to {', '.join(_SHORT_FOLDERS)}. Set TMPDIR to a "
        f"folder of at most {_LONGEST_FOLDER} bytes."
    )


def _require_parent() -> None:
    """Refuse a process that Python allows no children."""
    if multiprocessing.process.current_process().daemon:
        raise ConfigError(
            "vidmoco reads videos in processes of its own, and this is a process of a DataLoader "
            "or of a pool, which may not start any. Use vidmoco in the main process: "
            "DataLoader(…, num_workers=0)."
        )


class _Start:
    def start(self) -> None:
        _require_parent()
        _keep_sockets_short()
        with _left_alone():
            super().start()  # type: ignore[misc]


class _Spawned(_Start, SpawnProcess):
    pass


class _Forked(_Start, ForkServerProcess):
    pass


class _Spawn(SpawnContext):
    Process = _Spawned


class _ForkServer(ForkServerContext):
    Process = _Forked


SPAWN = _Spawn()
"""Starts processes that inherit nothing."""
FORK_SERVER = _ForkServer()
"""Forks processes from one that has imported ``vidmoco.preload``: torch is imported once."""
FORK_SERVER.set_forkserver_preload(["vidmoco.preload"])


def _forget_fork_server() -> None:
    """Let a forked process start a fork server of its own, when it needs one.

    Python takes its parent's for its own, waits for it as for a child, and fails (3.11 to 3.13).
    """
    server: Any = multiprocessing.forkserver._forkserver
    alive = server._forkserver_alive_fd
    server._forkserver_address = server._forkserver_alive_fd = server._forkserver_pid = None
    if alive is not None:
        os.close(alive)  # while it is open the parent's server does not end


os.register_at_fork(after_in_child=_forget_fork_server)


def start_fork_server() -> None:
    """Let the libraries of decoding processes be imported while this process does something else.

    Without it the first process that is forked waits for them.
    """
    if sys.platform == "linux":  # elsewhere nothing is forked (``pool``)
        _keep_sockets_short()
        with _left_alone():
            multiprocessing.forkserver.ensure_running()
