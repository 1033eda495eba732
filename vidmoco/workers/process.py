"""The main function of a worker process: it does one job after another, under limits."""

import gc
import math
import multiprocessing
import os
import re
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from vidmoco.errors import VidmocoError, is_out_of_memory

J = TypeVar("J")

# Of the seconds that a job may be silent: signs of life that come sooner are not told. All of them
# took a twentieth of the CPU time of short visits (measured).
_SHARE_UNTOLD = 0.02


def serve(
    connection: Connection,
    build: Callable[..., Callable[[J], Any]],
    args: tuple[Any, ...],
    max_memory: int,
    max_seconds: float,
) -> None:
    """Do jobs until the pipe closes or a job exceeds the memory limit."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # core files would hold frames of videos
    threading.Thread(target=_end_with_parent, daemon=True).start()
    do = build(*args)
    gc.collect()
    gc.freeze()  # existing objects stay, and the collections below need not visit them
    _limit_memory(max_memory)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent has ended
        connection.send(("started", None))
        while True:
            job = connection.recv()
            try:
                result = _result(do, job, connection, max_seconds)
                gc.collect()  # PyAV's files and decoders are reference cycles with much memory
                connection.send(("done", result))
            except Exception as error:  # a bad file must not stop the others
                if is_out_of_memory(error):
                    more = f"it needs more than {max_memory / 2**30:.3g} GiB of memory"
                    connection.send(("failed", (f"{more} (--max-memory-per-worker)", "max_memory")))
                    return  # the heap may be fragmented
                gc.collect()
                connection.send(("failed", (describe(error), "")))


def _result(do: Callable[[J], Any], job: J, connection: Connection, seconds: float) -> Any:
    """Do a job and return its result. If that is an iterator, send its parts and return None."""
    told = time.monotonic()

    def report_alive() -> None:
        nonlocal told
        if (now := time.monotonic()) - told < seconds * _SHARE_UNTOLD:
            return
        told = now
        connection.send(("alive", None))
        _limit_cpu(seconds)

    _LISTENERS.append(report_alive)
    try:
        _limit_cpu(seconds)
        result = do(job)
        if not isinstance(result, Iterator):
            return result
        for part in result:
            connection.send(("part", part))
            _limit_cpu(seconds)
        return None
    finally:
        _LISTENERS.remove(report_alive)


_LISTENERS: list[Callable[[], None]] = []  # one entry while a worker does a job, else none


def still_alive() -> None:
    """Report that a long job makes progress. Outside of a worker this does nothing."""
    for report_alive in _LISTENERS:
        report_alive()


def _end_with_parent() -> None:
    """End this process when its parent ends, even if a decoder hangs."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def describe(error: Exception) -> str:
    """Return an error message as the end of a sentence about a file."""
    return str(error) if isinstance(error, VidmocoError) else f"{type(error).__name__}: {error}"


def _limit_memory(num_bytes: int) -> None:
    """Allow this process ``num_bytes`` more than it uses now. Only Linux has such a limit."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return
    used = re.search(r"VmData:\s+(\d+) kB", status)
    if used is not None:
        _lower(resource.RLIMIT_DATA, int(used[1]) * 1024 + num_bytes)


def _limit_cpu(seconds: float) -> None:
    """Allow this process ``seconds`` more CPU time than it has used."""
    _lower(resource.RLIMIT_CPU, math.ceil(cpu_seconds() + seconds))


def cpu_seconds() -> float:
    """Return the CPU time of this process.

    Under the limit of it that a worker has, ``time.process_time`` goes in steps of 4 ms.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
