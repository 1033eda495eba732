"""A pool of processes for files that may hang, crash, or exhaust the memory of a process.

Each process does one job at a time, under limits of memory, CPU time and silence. If a process
dies, or is killed because it is silent, its current job fails. A new process does its next job.
"""

import math
import multiprocessing
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, TypeVar

from vidmoco.errors import VidmocoError
from vidmoco.workers.process import serve
from vidmoco.workers.start import FORK_SERVER, SPAWN

J = TypeVar("J")
R = TypeVar("R")

# A worker has one job under way and one in its pipe, so it never waits for the next.
_JOBS_PER_WORKER = 2
# Of both jobs every pipe holds so much (macOS: 8 KiB). Whoever sends more waits for the process,
# which may itself wait until its parts are used.
_PIPE_BYTES = 4096
_SECONDS_TO_START = 300.0  # assumption: enough for imports from the slowest network disk
_SECONDS_TO_END = 5.0
# If this process wakes this many seconds too late, it was suspended, as by Ctrl-Z, and so were its
# workers. assumption.
_OVERSLEPT = 2.0
# Signals that others send. The file is not to blame.
_SIGNALS_OF_OTHERS = frozenset(
    -number
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
)


@dataclass(frozen=True)
class Report(Generic[J, R]):
    """The result of a job, a part of its result, or its failure."""

    job: J
    value: R | None = None
    """The result or a part of it. None after the last part, and for a failed job."""
    failure: str = ""
    """Why the job failed, as the end of a sentence about the file."""
    last: bool = True
    """Whether this is the last report on the job."""
    limit: str = ""
    """The exceeded limit, ``max_seconds`` or ``max_memory``, or an empty string."""
    killed: bool = False
    """Whether the job killed its process or made it hang."""


class _Worker(Generic[J]):
    """A process, its pipe, and its jobs."""

    def __init__(self, args: tuple[Any, ...], *, with_torch: bool) -> None:
        self.connection, other = multiprocessing.Pipe()
        # A fork of what has imported torch saves 2.5 s and 250 MB a process (measured). On Linux
        # alone: elsewhere torch may not survive a fork.
        context = FORK_SERVER if with_torch and sys.platform == "linux" else SPAWN
        self.process = context.Process(target=serve, args=(other, *args), daemon=True)
        try:
            self.process.start()
        except (OSError, EOFError) as error:  # EOFError: the server could not fork
            reason = str(error) or "no reason is given"
            raise VidmocoError(
                f"The system starts no more processes ({reason}). Give fewer --workers, or raise "
                "the limit of processes (ulimit -u, or that of the container)."
            ) from error
        other.close()
        self.started = False
        self.retires = False  # it ends by itself, after a job that took too much memory
        self.in_parts = False  # parts of its job have been reported, so the job cannot be repeated
        self.jobs: deque[J] = deque()
        self._unsent: deque[memoryview] = deque()  # the last ones of its jobs
        self.heard = time.monotonic()  # the time of the last sign of life

    def give(self, job: J) -> None:
        self._unsent.append(ForkingPickler.dumps(job))
        if not self.jobs and self.started:
            self.heard = time.monotonic()
        self.jobs.append(job)
        self.send()

    def send(self) -> None:
        """Send the jobs that the pipe holds, and a larger one only if the process waits for it."""
        while self._unsent and not self.retires:
            waits = self.started and len(self.jobs) == len(self._unsent)
            if len(self._unsent[0]) > _PIPE_BYTES and not waits:
                return
            with suppress(BrokenPipeError, ConnectionResetError):  # wait() notices a dead process
                self.connection.send_bytes(self._unsent.popleft())

    def end(self, *, kill: bool) -> int:
        """Kill the process, or let it end first, and return its exit code."""
        if not kill:
            self.process.join(_SECONDS_TO_END)
        self.process.kill()
        # A process that waits for a dead network disk cannot be killed. It is abandoned.
        self.process.join(_SECONDS_TO_END)
        self.connection.close()
        return self.process.exitcode or 0


class WorkerPool(Generic[J, R]):
    """A pool of processes. ``give`` takes jobs, and ``wait`` returns reports on them.

    Args:
        build: called in each process as ``build(*args)``. It returns the function that does a job.
            That function returns the result or an iterator of parts. An exception fails the job.
        args: arguments that can be pickled for a new process.
        workers: maximum number of processes, at least 1. They start when there is work.
        max_memory: bytes that a process may use in addition to its use after ``build``.
        max_seconds: the seconds of silence that a job may have. The same number limits the CPU time
            between two signs of life.
        with_torch: whether ``build`` needs torch. Processes then start with torch imported.

    Raises:
        VidmocoError: the processes cannot be started.
    """

    def __init__(
        self,
        build: Callable[..., Callable[[J], R | Iterator[R]]],
        args: tuple[Any, ...] = (),
        *,
        workers: int,
        max_memory: int,
        max_seconds: float,
        with_torch: bool = False,
    ) -> None:
        if workers < 1:
            raise ValueError(f"{workers = }, expected 1 or more")
        self._build = (build, args, max_memory, max_seconds)
        self._with_torch = with_torch
        self._max_seconds = max_seconds
        self._num_workers = workers
        self._waiting: deque[J] = deque()
        self._workers: list[_Worker[J]] = []

    def __enter__(self) -> "WorkerPool[J, R]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def room(self) -> int:
        """The number of jobs that can be given now."""
        given = sum(len(worker.jobs) for worker in self._workers) + len(self._waiting)
        return _JOBS_PER_WORKER * self._num_workers - given

    def give(self, job: J) -> None:
        """Queue a job."""
        self._waiting.append(job)
        self._hand_out()

    def wait(self, *others: Any) -> list[Report[J, R]]:
        """Wait for reports, and return them. The list is empty if only ``others`` are ready.

        Args:
            others: file descriptors and connections to wait for too.
        """
        while True:
            self._hand_out()
            now = time.monotonic()
            soonest = min((self._deadline(worker) for worker in self._workers), default=math.inf)
            if soonest == math.inf and not others:
                return []
            timeout = None if soonest == math.inf else max(0.0, soonest - now)
            pipes = [worker.connection for worker in self._workers]
            ready = wait([*pipes, *others], timeout)
            reports: list[Report[J, R]] = []
            slept, now = time.monotonic() - now, time.monotonic()
            if timeout is not None and slept > timeout + _OVERSLEPT:
                for worker in self._workers:
                    worker.heard = now
            for worker in list(self._workers):
                if worker.connection in ready:
                    reports += self._listen(worker)
                elif now >= self._deadline(worker):
                    reports += self._end(worker, silent=True)
            if reports or any(other in ready for other in others):
                return reports

    def map(self, jobs: Iterable[J]) -> Iterator[Report[J, R]]:
        """Yield the reports on all jobs, in the order in which they arrive."""
        remaining = iter(jobs)
        running = 0
        more = True
        while running or more:
            while more and self.room > 0:
                try:
                    self.give(next(remaining))
                    running += 1
                except StopIteration:
                    more = False
            for report in self.wait():
                running -= report.last
                yield report

    def close(self) -> None:
        """Kill all processes."""
        for worker in self._workers:
            worker.end(kill=True)
        self._workers.clear()
        self._waiting.clear()

    def _hand_out(self) -> None:
        """Give waiting jobs to the processes with the fewest jobs."""
        while self._waiting:
            worker = min(self._workers, key=lambda worker: len(worker.jobs), default=None)
            if (worker is None or worker.jobs) and len(self._workers) < self._num_workers:
                worker = _Worker[J](self._build, with_torch=self._with_torch)
                self._workers.append(worker)
            if worker is None or len(worker.jobs) >= _JOBS_PER_WORKER:
                return
            worker.give(self._waiting.popleft())

    def _deadline(self, worker: _Worker[J]) -> float:
        if not worker.started:
            return worker.heard + _SECONDS_TO_START
        return worker.heard + self._max_seconds if worker.jobs else math.inf

    def _listen(self, worker: _Worker[J]) -> list[Report[J, R]]:
        """Receive the messages of a worker."""
        reports: list[Report[J, R]] = []
        try:
            while not reports or worker.connection.poll():
                kind, value = worker.connection.recv()
                worker.heard = time.monotonic()
                if kind != "alive":
                    worker.in_parts = kind == "part"
                worker.started |= kind == "started"
                if kind in ("started", "alive"):
                    worker.send()
                    return reports
                if kind == "part":
                    reports.append(Report[J, R](worker.jobs[0], value, last=False))
                elif kind == "done":
                    reports.append(Report[J, R](worker.jobs.popleft(), value))
                else:
                    job, (failure, limit) = worker.jobs.popleft(), value
                    worker.retires = bool(limit)
                    reports.append(Report[J, R](job, failure=failure, limit=limit))
                worker.send()
        except (EOFError, OSError):
            reports += self._end(worker, silent=False)
        return reports

    def _end(self, worker: _Worker[J], *, silent: bool) -> list[Report[J, R]]:
        """Remove a worker that died or is silent. Return a failure of the job that caused it."""
        code = worker.end(kill=silent)
        self._workers.remove(worker)
        if not worker.started:
            how = "they hang" if silent else _describe_exit(code)
            raise VidmocoError(
                f"The processes that read videos do not start ({how}). `vidmoco doctor` "
                "shows what this machine has."
            )
        jobs = deque(worker.jobs)
        blamed = None
        from_outside = code in _SIGNALS_OF_OTHERS and not silent
        if jobs and (silent or worker.in_parts or not (worker.retires or from_outside)):
            blamed = jobs.popleft()
        self._waiting.extendleft(reversed(jobs))
        if blamed is None:
            return []
        if from_outside:
            reason = f"its process was ended from outside ({_describe_exit(code)})"
            return [Report(blamed, failure=reason)]
        number = f"{self._max_seconds:.3f}".rstrip("0").rstrip(".")
        seconds = f"{number} s (--max-seconds)"
        if silent:
            reason, limit = f"its decoder gave no sign of life for {seconds}", "max_seconds"
        elif code == -signal.SIGXCPU:
            reason, limit = f"its decoder used more CPU time than {seconds}", "max_seconds"
        else:
            reason, limit = f"its decoder crashed ({_describe_exit(code)})", ""
        return [Report(blamed, failure=reason, limit=limit, killed=True)]


def _describe_exit(code: int) -> str:
    if code == -signal.SIGKILL:
        return "SIGKILL, which the system sends when memory runs out"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
