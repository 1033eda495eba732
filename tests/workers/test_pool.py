import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from child_processes import PATIENCE, is_running, until

from vidmoco.errors import VideoError, VidmocoError
from vidmoco.workers import pool as workers
from vidmoco.workers.pool import WorkerPool

GIB = 2**30


def build_doer(name="doer"):
    """Jobs are (what to do, with what)."""

    def do(job):
        kind, value = job
        if kind == "echo":
            return value
        if kind == "large parts":
            return iter([value, value])
        if kind == "name":
            return name
        if kind == "pid":
            return os.getpid()
        if kind == "has":
            return value in sys.modules
        if kind == "sleep":
            time.sleep(value)
            return value
        if kind == "parts":
            return iter(range(value))
        if kind == "slow parts":
            return (time.sleep(1) or part for part in range(value))
        if kind == "signal":
            os.kill(os.getpid(), value)
            time.sleep(60)
        if kind == "exit":
            os._exit(value)
        if kind == "spin":
            while True:
                pass
        if kind == "memory":
            return int(np.ones(value, np.uint8).sum())
        if kind == "video error":
            raise VideoError(value)
        raise TypeError(value)

    return do


def build_nothing():
    raise RuntimeError("the library is missing")


def build_never():
    time.sleep(100)


@contextmanager
def ended_after(seconds):
    """Raise TimeoutError in this process where it would wait for ever."""

    def end(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


with_torch = False  # how the processes of ``pool_of`` start


@pytest.fixture(params=[False, True], ids=["afresh", "forked"], autouse=True)
def each_start(request, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "with_torch", request.param)


def pool_of(*, workers=1, memory=4 * GIB, seconds=30.0, build=build_doer, args=()):
    return WorkerPool(
        build,
        args,
        workers=workers,
        max_memory=memory,
        max_seconds=seconds,
        with_torch=with_torch,
    )


def outcomes(pool, jobs):
    """What came of each job, in the order of the jobs."""
    found = {index: [] for index in range(len(jobs))}
    for report in pool.map(jobs):
        index = next(i for i, job in enumerate(jobs) if job is report.job or job == report.job)
        found[index].append(report.failure or report.value)
    return list(found.values())


def test_forked_processes_have_torch():
    with pool_of() as pool:
        assert outcomes(pool, [("has", "torch")]) == [[with_torch]]


def test_results_and_errors_and_parts():
    jobs = [
        ("echo", 5),
        ("video error", "it is damaged"),
        ("parts", 3),
        ("type error", "a surprise"),
        ("echo", 6),
    ]
    with pool_of() as pool:
        assert outcomes(pool, jobs) == [
            [5],
            ["it is damaged"],
            [0, 1, 2, None],
            ["TypeError: a surprise"],
            [6],
        ]


def test_jobs_larger_than_the_pipe_do_not_wait_for_a_process_that_waits():
    """Its parts fill the pipe too, and nobody empties it as long as the next job is being sent."""
    jobs = [("large parts", bytes([number]) * 2**20) for number in range(4)]
    with pool_of() as pool, ended_after(100):
        assert outcomes(pool, jobs) == [[value, value, None] for _, value in jobs]


def test_a_large_job_that_was_not_sent_is_done_after_a_death():
    jobs = [("exit", 3), ("echo", bytes(2**20)), ("echo", 1)]
    with pool_of() as pool, ended_after(100):
        dead, *others = outcomes(pool, jobs)
    assert "crashed" in dead[0]
    assert others == [[bytes(2**20)], [1]]


def test_arguments_reach_the_process():
    with pool_of(args=("another",)) as pool:
        assert outcomes(pool, [("name", None)]) == [["another"]]


def test_jobs_are_spread_over_the_processes():
    with pool_of(workers=2) as pool:
        jobs = [("pid", index) for index in range(8)] + [("sleep", 0.3), ("sleep", 0.31)]
        pids = [values[0] for values in outcomes(pool, jobs)[:8]]
    assert len(set(pids)) == 2
    assert os.getpid() not in pids


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (("signal", signal.SIGSEGV), "its decoder crashed (SIGSEGV)"),
        (("signal", signal.SIGKILL), "memory"),
        (("exit", 3), "its decoder crashed (exit code 3)"),
        (("exit", 0), "its decoder crashed (exit code 0)"),
    ],
)
def test_a_death_costs_one_job(job, words):
    jobs = [("echo", 1), job, ("echo", 2), ("echo", 3), ("echo", 4)]
    with pool_of() as pool:
        first, dead, *others = outcomes(pool, jobs)
    assert [first, *others] == [[1], [2], [3], [4]]
    assert len(dead) == 1
    assert words in dead[0]


def test_silence_is_ended():
    with pool_of(seconds=3.0) as pool:
        reports = list(pool.map([("sleep", 10_000), ("echo", 2)]))
    (silent,) = [report for report in reports if report.failure]
    assert silent.job == ("sleep", 10_000)
    assert silent.failure == "its decoder gave no sign of life for 3 s (--max-seconds)"
    assert (silent.limit, silent.killed) == ("max_seconds", True)
    assert [report.value for report in reports if not report.failure] == [2]


def test_a_sign_of_life_is_enough():
    with pool_of(seconds=4.0) as pool:
        assert outcomes(pool, [("slow parts", 5)]) == [[0, 1, 2, 3, 4, None]]


def test_who_was_stopped_too_does_not_call_the_workers_silent(monkeypatch):
    """As with Ctrl-Z: this process sleeps through the time that the job is allowed."""
    wait = workers.wait

    def stopped_once(pipes, timeout):
        monkeypatch.setattr(workers, "wait", wait)
        time.sleep(5)
        return []

    with pool_of(seconds=2.0) as pool:
        assert outcomes(pool, [("echo", 1)]) == [[1]]
        pool.give(("sleep", 3.0))
        monkeypatch.setattr(workers, "wait", stopped_once)
        (report,) = pool.wait()
    assert (report.value, report.failure) == (3.0, "")


def test_workers_end_with_their_parent():
    """The parent is killed while a worker hangs in native code."""
    code = """
import sys, time
sys.path[:0] = sys.argv[1], sys.argv[1] + "/.."
if __name__ == "__main__":
    import test_pool
    test_pool.with_torch = sys.argv[2] == "True"
    pool = test_pool.pool_of()
    pool.give(("sleep", 100))
    print(pool._workers[0].process.pid, flush=True)
    time.sleep(100)
"""
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", code, here, str(with_torch)], stdout=subprocess.PIPE, text=True
    )
    pid = int(process.stdout.readline())
    time.sleep(1.5)  # mostly it has started
    process.kill()
    process.communicate()
    until(lambda: not is_running(pid))


def test_cpu_time_is_bounded_even_when_nobody_waits():
    with pool_of(seconds=1.0) as pool:
        pool.give(("spin", None))
        while not pool._workers[0].started:
            pool._listen(pool._workers[0])
        pool._workers[0].process.join(PATIENCE)  # nobody looks at the clock but the system
        (report,) = pool.wait()
    assert report.failure == "its decoder used more CPU time than 1 s (--max-seconds)"
    assert (report.limit, report.killed) == ("max_seconds", True)


def test_memory_is_bounded():
    with pool_of(memory=GIB // 4) as pool:
        jobs = [("memory", 1000), ("memory", GIB), ("memory", 2000), ("memory", GIB // 8)]
        small, large, *others = outcomes(pool, jobs)
    assert [small, *others] == [[1000], [2000], [GIB // 8]]
    assert large == ["it needs more than 0.25 GiB of memory (--max-memory-per-worker)"]


def test_an_end_from_outside_is_no_fault_of_the_job():
    with pool_of() as pool:
        (pid,) = outcomes(pool, [("pid", None)])
        pool.give(("sleep", 0.5))
        pool.give(("echo", 7))
        os.kill(pid[0], signal.SIGTERM)
        values = []
        while len(values) < 2:
            values += [report.value for report in pool.wait()]
    assert values == [0.5, 7]


def test_signals_to_the_whole_job_end_no_process():
    """Ctrl-C in a terminal, and SLURM's warning; the command decides what they mean."""
    numbers = (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
    with pool_of() as pool:
        pool.give(("pid", None))
        starting = pool._workers[0].process.pid
        for number in numbers:
            os.kill(starting, number)
        assert [report.value for report in pool.wait()] == [starting]
        pool.give(("slow parts", 3))
        reports = pool.wait()
        for number in numbers:
            os.kill(starting, number)
        while not reports[-1].last:
            reports += pool.wait()
        assert not any(report.failure for report in reports)
        assert outcomes(pool, [("pid", None)])[0][0] == starting


def test_parts_that_have_come_do_not_come_again():
    with pool_of() as pool:
        (pid,) = outcomes(pool, [("pid", None)])
        pool.give(("slow parts", 3))
        pool.give(("echo", 7))
        reports = pool.wait()
        os.kill(pid[0], signal.SIGTERM)
        while len(reports) < 3:
            reports += pool.wait()
    assert [report.value for report in reports] == [0, None, 7]
    assert [report.last for report in reports] == [False, True, True]
    assert reports[1].failure == "its process was ended from outside (SIGTERM)"
    assert not reports[1].killed


def test_processes_that_do_not_start_are_no_fault_of_the_job():
    with (
        pool_of(build=build_nothing) as pool,
        pytest.raises(VidmocoError, match=r"do not start \(exit code 1\)\."),
    ):
        list(pool.map([("echo", 1)]))


@pytest.mark.parametrize("error", [BlockingIOError(11, "try again"), EOFError()])
def test_a_system_that_starts_no_more_processes(error, monkeypatch):
    context = workers.FORK_SERVER if with_torch else workers.SPAWN

    def refuse(process):
        raise error

    monkeypatch.setattr(context.Process, "start", refuse)
    with (
        pool_of() as pool,
        pytest.raises(VidmocoError, match=r"starts no more processes \(.+\)\. Give fewer"),
    ):
        list(pool.map([("echo", 1)]))


def test_processes_that_hang_while_they_start(monkeypatch):
    monkeypatch.setattr(workers, "_SECONDS_TO_START", 0.2)
    with pool_of(build=build_never) as pool, pytest.raises(VidmocoError, match="they hang"):
        list(pool.map([("echo", 1)]))


def test_closing_ends_everything():
    pool = pool_of(workers=2)
    for _ in range(4):
        pool.give(("sleep", 100))
    processes = [worker.process for worker in pool._workers]
    assert pool.room == 0
    pool.close()
    assert all(not process.is_alive() for process in processes)
    assert pool.wait() == []


def test_others_can_be_waited_for():
    reader, writer = os.pipe()
    with pool_of() as pool:
        os.write(writer, b".")
        assert pool.wait(reader) == []
    os.close(reader)
    os.close(writer)


def test_no_workers_is_a_mistake():
    with pytest.raises(ValueError, match="workers = 0"):
        pool_of(workers=0)
    with pool_of() as pool:
        assert list(pool.map([])) == []
