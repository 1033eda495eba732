"""What a worker says is in test_workers.py, where it is another process."""

import resource
import threading
from multiprocessing import Pipe
from types import SimpleNamespace

import pytest

from vidmoco.errors import VideoError
from vidmoco.workers import process as worker_process
from vidmoco.workers.process import describe, serve, still_alive


def test_errors_as_reasons():
    assert describe(VideoError("it is damaged")) == "it is damaged"
    assert describe(ZeroDivisionError("by zero")) == "ZeroDivisionError: by zero"


@pytest.fixture
def limits_set(monkeypatch):
    """What would be limited: this process is not to be."""
    seen = []
    monkeypatch.setattr(worker_process.resource, "setrlimit", lambda *args: seen.append(args))
    monkeypatch.setattr(worker_process.gc, "freeze", lambda: None)
    return seen


def test_the_life_of_a_worker(limits_set):
    here, there = Pipe()
    thread = threading.Thread(target=serve, args=(there, lambda: str, (), 2**30, 50.0))
    thread.start()
    assert here.poll(300) and here.recv() == ("started", None)  # the thread may have failed
    here.send(7)
    assert here.poll(300) and here.recv() == ("done", "7")
    here.close()
    thread.join()
    there.close()
    kinds = [kind for kind, _ in limits_set]
    assert kinds == [resource.RLIMIT_CORE, resource.RLIMIT_DATA, resource.RLIMIT_CPU]
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    assert limits_set[2][1][0] == pytest.approx(used + 50, abs=5)


def test_a_limit_that_the_system_has_set_is_not_raised(limits_set, monkeypatch):
    monkeypatch.setattr(worker_process.resource, "getrlimit", lambda kind: (10, 100))
    worker_process._lower(resource.RLIMIT_CPU, 1000)
    worker_process._lower(resource.RLIMIT_CPU, 50)
    assert [value for _, value in limits_set] == [(100, 100), (50, 100)]


def test_a_long_job_says_that_it_goes_on(limits_set, monkeypatch):
    still_alive()  # nobody listens
    here, there = Pipe()
    clock = iter([10.0, 10.9, 11.0, 11.9, 12.5])  # at the job's begin, and at each sign
    monkeypatch.setattr(worker_process, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    told = []

    def do(job):
        for _ in range(4):
            still_alive()
            told.append(here.poll() and here.recv())
        return job

    assert worker_process._result(do, 7, there, 50.0) == 7
    # Not sooner than a fiftieth of the seconds that it may be silent.
    assert told == [False, ("alive", None), False, ("alive", None)]
    assert len(limits_set) == 3  # a new allowance of CPU time with each sign that was told
    still_alive()
    assert not here.poll()
