"""Processes that work on files which may kill them: by a hang, a crash, or hunger for memory.

Each does one job at a time under limits of memory, CPU time and wall time. A process that dies, or
is killed for its silence, costs the one job that it was at; its other job is done by its successor.
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
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, TypeVar

from vidmoco.errors import VidmocoError
from vidmoco.workers.process import serve

J = TypeVar("J")
R = TypeVar("R")

# A worker has one job at hand and one more in its pipe, so it never waits for the next.
_JOBS_AT_ONCE = 2
# assumption: imports from the slowest network disk are done by then.
_SECONDS_TO_START = 300.0
_SECONDS_TO_END = 5.0
# Seconds. assumption: who sleeps so much longer than asked was stopped, as by Ctrl-Z, and so were
# the workers.
_OVERSLEPT = 2.0
# Ends that somebody else brings about; the file is not to blame.
_FROM_OUTSIDE = frozenset({-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP})


@dataclass(frozen=True)
class Report(Generic[J, R]):
    """What a worker says of a job, or what is said of a worker that cannot speak any more."""

    job: J
    value: R | None = None
    """The result, or a part of it; None after the last part, and for a job that failed."""
    failure: str = ""
    """Why the job failed, as the end of a sentence about the file."""
    last: bool = True
    """Nothing more comes of this job."""
    limit: str = ""
    """``max_seconds`` or ``max_memory``, when that is what the job failed of."""
    killed: bool = False
    """The job killed its process, or made it hang."""


class _Worker(Generic[J]):
    """A process, its pipe, and the jobs it has been given."""

    def __init__(self, args: tuple[Any, ...], *, with_torch: bool) -> None:
        self.connection, other = multiprocessing.Pipe()
        start = _start_forked if with_torch and sys.platform == "linux" else _start_afresh
        self.process = start(serve, (other, *args))
        other.close()
        self.started = False
        self.retires = False  # it ends by itself, after a job that took too much memory
        self.in_parts = False  # parts of its job have come, which shall not come twice
        self.jobs: deque[J] = deque()
        self.heard = time.monotonic()  # the last sign of life

    def give(self, job: J) -> None:
        if not self.jobs and self.started:
            self.heard = time.monotonic()
        self.jobs.append(job)
        with suppress(BrokenPipeError, ConnectionResetError):  # its end is seen by wait()
            self.connection.send(job)

    def end(self, *, kill: bool) -> int:
        """Wait for the process to end, or make it; return its exit code."""
        if not kill:
            self.process.join(_SECONDS_TO_END)
        self.process.kill()
        # A process that waits for a dead network disk cannot even be killed; it is left to itself.
        self.process.join(_SECONDS_TO_END)
        self.connection.close()
        return self.process.exitcode or 0


def _start_afresh(target: Callable[..., None], args: tuple[Any, ...]) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=target, args=args, daemon=True)
    process.start()
    return process


def _start_forked(target: Callable[..., None], args: tuple[Any, ...]) -> BaseProcess:
    """Start a process from one that does nothing but this, and has imported torch already.

    So torch is imported once, and its memory is there once, however many processes there are:
    2.5 s and 250 MB (measured). On Linux alone: elsewhere torch may not survive a fork.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vidmoco.preload"])
    process = context.Process(target=target, args=args, daemon=True)
    process.start()
    return process


class WorkerPool(Generic[J, R]):
    """Some processes; jobs go in by ``give`` and reports come out of ``wait``.

    Args:
        build: called in each process as ``build(*args)``; returns the function that does a job. It
            returns the result, or an iterator of parts. What it raises is the job's failure.
        args: plain values, or anything that can be given to a process that starts.
        workers: processes at most, 1 or more; they start when there is work.
        max_memory: bytes a process may use on top of what it uses after ``build``.
        max_seconds: of silence that a job is allowed, and of CPU time between two signs of life.
        with_torch: ``build`` needs torch, so processes start where it is there already.

    Raises:
        VidmocoError: processes cannot be started at all.
    """

    def __init__(
        self,
        build: Callable[..., Callable[[J], R | Iterator[R]]],
        args: tuple[Any, ...] = (),
        *,
        workers: int,
        max_memory: int,
        max_seconds: Callable[[J], float],
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def room(self) -> int:
        """The number of jobs that can be given before one is done."""
        given = sum(len(worker.jobs) for worker in self._workers) + len(self._waiting)
        return _JOBS_AT_ONCE * self._num_workers - given

    def give(self, job: J) -> None:
        """Queue a job."""
        self._waiting.append(job)
        self._hand_out()

    def wait(self, *others: Any) -> list[Report[J, R]]:
        """Return what has happened, at once or when something does; empty: ``others`` are ready.

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
        """Yield the reports of all jobs, in the order in which they come."""
        left = iter(jobs)
        running = 0
        more = True
        while running or more:
            while more and self.room > 0:
                try:
                    self.give(next(left))
                    running += 1
                except StopIteration:
                    more = False
            for report in self.wait():
                running -= report.last
                yield report

    def close(self) -> None:
        """End all processes, whatever they are at."""
        for worker in self._workers:
            worker.end(kill=True)
        self._workers.clear()
        self._waiting.clear()

    def _hand_out(self) -> None:
        """Give waiting jobs to the processes that have least to do."""
        while self._waiting:
            idle = min(self._workers, key=lambda worker: len(worker.jobs), default=None)
            if (idle is None or idle.jobs) and len(self._workers) < self._num_workers:
                idle = _Worker[J](self._build, with_torch=self._with_torch)
                self._workers.append(idle)
            if idle is None or len(idle.jobs) >= _JOBS_AT_ONCE:
                return
            idle.give(self._waiting.popleft())

    def _deadline(self, worker: _Worker[J]) -> float:
        if not worker.started:
            return worker.heard + _SECONDS_TO_START
        return worker.heard + self._max_seconds(worker.jobs[0]) if worker.jobs else math.inf

    def _listen(self, worker: _Worker[J]) -> list[Report[J, R]]:
        """Take all messages of a worker."""
        reports: list[Report[J, R]] = []
        try:
            while not reports or worker.connection.poll():
                kind, value = worker.connection.recv()
                worker.heard = time.monotonic()
                if kind == "started":
                    worker.started = True
                if kind != "alive":
                    worker.in_parts = kind == "part"
                if kind in ("started", "alive"):
                    return reports
                if kind == "part":
                    reports.append(Report[J, R](worker.jobs[0], value, last=False))
                elif kind == "done":
                    reports.append(Report[J, R](worker.jobs.popleft(), value))
                else:
                    failure, limit = value
                    job = worker.jobs.popleft()
                    worker.retires = bool(limit)
                    reports.append(Report[J, R](job, failure=failure, limit=limit))
        except (EOFError, OSError):
            reports += self._end(worker, silent=False)
        return reports

    def _end(self, worker: _Worker[J], *, silent: bool) -> list[Report[J, R]]:
        """Bury a worker; return the report on the job that it died of."""
        code = worker.end(kill=silent)
        self._workers.remove(worker)
        if not worker.started:
            how = "they hang" if silent else _ending(code)
            raise VidmocoError(
                f"The processes that read videos do not start ({how}). In a script, call "
                'vidmoco under `if __name__ == "__main__":`.'
            )
        jobs = deque(worker.jobs)
        blamed = None
        from_outside = code in _FROM_OUTSIDE and not silent
        if jobs and (silent or worker.in_parts or not (worker.retires or from_outside)):
            blamed = jobs.popleft()
        self._waiting.extendleft(reversed(jobs))
        if blamed is None:
            return []
        if from_outside:
            return [Report(blamed, failure=f"its process was ended from outside ({_ending(code)})")]
        number = f"{self._max_seconds(blamed):.3f}".rstrip("0").rstrip(".")
        seconds = f"{number} s (--max-seconds)"
        if silent:
            reason, limit = f"its decoder gave no sign of life for {seconds}", "max_seconds"
        elif code == -signal.SIGXCPU:
            reason, limit = f"its decoder used more CPU time than {seconds}", "max_seconds"
        else:
            reason, limit = f"its decoder crashed ({_ending(code)})", ""
        return [Report(blamed, failure=reason, limit=limit, killed=True)]


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "SIGKILL, as the system does when memory runs out"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
