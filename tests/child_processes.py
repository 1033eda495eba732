"""Processes for tests, forked from one that has imported vidmoco and what it needs.

To import torch, torchvision and timm takes 3 to 10 s of CPU, most of what a small process costs. So
one process imports them, at the first use, and forks the others. What is forked runs what
``python -m NAME``, ``python -c CODE`` or ``python FILE`` runs, in its own session of streams,
folder and environment; it can be sent signals, and ends with an exit code of its own. A test of an
import, or of a variable that a library reads while it is imported, starts a Python of its own.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
# Seconds. What is waited for comes in a fraction of this; a machine may be slow, and a wait without
# an end says nothing.
PATIENCE = 1200.0
_PRELOADED = (
    "torch._dynamo",  # optimizers import it at their first step
    "vidmoco.cli.main",
    "vidmoco.evaluate.compare",
    "vidmoco.evaluate.detection.finetune",
    "vidmoco.frames.prepare",
    "vidmoco.train.pretrain",
)


def until(done: Callable[[], Any]) -> Any:
    """Wait until ``done()`` is true, and return it."""
    ends = time.monotonic() + PATIENCE
    while not (value := done()):
        assert time.monotonic() < ends, f"not within {PATIENCE:.0f} s"
        time.sleep(0.01)
    return value


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that ended may stay where nobody asks for its code."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Process:
    """A process that was started; ``out`` and ``err`` are what it has printed so far."""

    def __init__(self, words: list[str], *, env: dict[str, str] | None = None) -> None:
        folder = Path(tempfile.mkdtemp(dir=_server()[1]))
        self._streams = (folder / "out", folder / "err")
        for stream in self._streams:
            stream.touch()  # it may be read before the process has opened it
        self.returncode: int | None = None
        self.pid: int = _ask(
            {
                "words": words,
                "streams": [str(path) for path in self._streams],
                "cwd": str(Path.cwd()),
                "env": dict(os.environ) | (env or {}),
            }
        )

    @property
    def out(self) -> str:
        return self._streams[0].read_text()

    @property
    def err(self) -> str:
        return self._streams[1].read_text()

    def poll(self) -> int | None:
        """Return its exit code, minus the signal that ended it, or None while it runs."""
        if self.returncode is None:
            self.returncode = _ask({"pid": self.pid})
        return self.returncode

    def wait(self) -> int:
        until(lambda: self.poll() is not None)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:  # else the number may be another's by now
            os.kill(self.pid, number)


def start_ranks(words: list[str], *, world_size: int) -> list[Process]:
    """Start ``world_size`` processes as torchrun would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    return [
        Process(words, env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(world_size)
    ]


def launch(words: list[str], *, world_size: int) -> list[list[str]]:
    """Run ``world_size`` processes to their end; return the lines that each printed."""
    processes = start_ranks(words, world_size=world_size)

    def over() -> bool:
        codes = [process.poll() for process in processes]
        return None not in codes or any(codes)

    until(over)
    for process in processes:  # one that failed is waited for by the others
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not any(process.returncode for process in processes), "\n".join(
        f"rank {rank} ended with {process.returncode}: {process.err}"
        for rank, process in enumerate(processes)
    )
    return [process.out.splitlines() for process in processes]


@functools.cache
def _server() -> tuple["subprocess.Popen[str]", str]:
    """Return the process that forks the others, and a folder for what they print."""
    folder = tempfile.TemporaryDirectory(prefix="vidmoco-tests-")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    server = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )

    def end() -> None:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
        folder.cleanup()

    atexit.register(end)
    return server, folder.name


def _ask(request: dict[str, Any]) -> Any:
    server, _ = _server()
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def _serve() -> dict[str, Any]:
    """Answer requests until there are no more; return in each process that was forked."""
    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        answer: int | None
        if "pid" in request:
            pid, status = os.waitpid(request["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
            running.discard(pid)
        else:
            answer = os.fork()
            if answer == 0:
                return request
            running.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _run_to_the_end(request: dict[str, Any]) -> None:
    """End as Python does, but leave what was imported where it is: to tear it down takes 0.7 s."""
    code = 0
    try:
        _become(request)
    except SystemExit as exit_:
        code = 0 if exit_.code is None else exit_.code if isinstance(exit_.code, int) else 1
        if isinstance(exit_.code, str):
            print(exit_.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _become(request: dict[str, Any]) -> None:
    """Run what Python would run of these words."""
    for number, path in enumerate([os.devnull, *request["streams"]]):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    first, *rest = request["words"]
    if first == "-m":
        name, *sys.argv[1:] = rest
        sys.path[0] = request["cwd"]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    elif first == "-c":
        code, *sys.argv[1:] = rest
        sys.argv[0], sys.path[0] = "-c", ""
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)
    else:
        sys.argv[:] = request["words"]
        sys.path[0] = str(Path(first).parent)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    for name in _PRELOADED:
        importlib.import_module(name)
    # A shell ignores it for what it starts in the background, such as this whole suite.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.collect()
    gc.freeze()  # a collection writes into all that it looks at, and a page written to is copied
    _run_to_the_end(_serve())
