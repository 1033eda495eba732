"""Processes of a job that are stopped or killed, or hang: the others end, with a line."""

import signal

import pytest
import torch
from child_processes import start_ranks, until

from vidmoco import heartbeat
from vidmoco.distributed import ends_soon, require_first_start
from vidmoco.errors import TrainingError

PROGRAM = """
import sys, torch
from vidmoco import distributed as d, heartbeat
from vidmoco.errors import TrainingError
heartbeat.SECONDS_OF_SILENCE, heartbeat._SECONDS_BETWEEN = %d, 0.1
try:
    with d.processes_from_environment():
        print("joined", flush=True)
        while True:
            d.any_of(False)
except TrainingError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


def ranks_that_joined(silence):
    ranks = start_ranks(["-c", PROGRAM % silence], world_size=2)
    until(lambda: all("joined" in rank.out for rank in ranks) or any(r.poll() for r in ranks))
    return ranks


@pytest.mark.parametrize("victim", [0, 1])
def test_a_stopped_process_is_noticed(victim):
    """It keeps its connections open, so no collective fails. Rank 0 also holds the store."""
    ranks = ranks_that_joined(silence=8)
    ranks[victim].send_signal(signal.SIGSTOP)
    other = ranks[1 - victim]
    assert other.wait() == 2
    assert f"process {victim} of 2 gave no sign of life for 8 s" in other.err
    assert ranks[victim].poll() is None
    ranks[victim].send_signal(signal.SIGKILL)
    ranks[victim].wait()


def test_a_call_of_the_store_that_fails_once_ends_no_sign_of_life(monkeypatch):
    """Such as one that takes longer than its limit. The others would take this process for dead."""
    counts = []

    class Store:
        def set(self, key, value):
            counts.append(value)
            if value == "1":
                raise torch.distributed.DistStoreError("wait timeout after 22500ms")

        def check(self, keys):
            return False

    monkeypatch.setattr(heartbeat, "_SECONDS_BETWEEN", 0.01)
    monkeypatch.setattr(torch.distributed, "TCPStore", lambda *_, **__: Store())
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    one = heartbeat.Heartbeat(0, 2, "start")
    until(lambda: len(counts) > 2 or not one._threads[0].is_alive())
    one.end()
    assert counts[:3] == ["1", "2", "3"] and counts[-1] == "done"


HANGS = """
import os, sys, time
from vidmoco import distributed as d, heartbeat
from vidmoco.errors import TrainingError
heartbeat.SECONDS_TO_HANG, heartbeat._SECONDS_BETWEEN = 3.0, 0.1
try:
    with d.processes_from_environment():
        for step in range(100):
            with d.ends_soon(f"reading the frames of step {step}"):
                time.sleep(1e6 if os.environ["RANK"] == "1" and step == 2 else 0)
            d.any_of(False)
except TrainingError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


def test_a_process_that_hangs_ends_itself():
    """It gives signs of life meanwhile, for a thread does that."""
    waits, hangs = start_ranks(["-c", HANGS], world_size=2)
    assert [hangs.wait(), waits.wait()] == [2, 2]
    assert hangs.err == (
        "vidmoco: process 1 of 2 hangs: it has been reading the frames of step 2 for 0.05 minutes. "
        "The job ends; start it again, a training with --resume auto.\n"
    )
    assert "Another process of this job has ended" in waits.err


def test_work_that_ends_soon_needs_no_other_process():
    with ends_soon("reading frames"):
        pass


def test_a_killed_process_is_a_line_and_no_traceback():
    ranks = ranks_that_joined(silence=1000)
    ranks[1].send_signal(signal.SIGKILL)
    assert ranks[0].wait() == 2
    assert "Another process of this job has ended" in ranks[0].err
    assert "Traceback" not in ranks[0].err


def test_a_run_does_not_begin_again_by_a_restart(monkeypatch):
    require_first_start()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with pytest.raises(TrainingError, match="with --resume"):
        require_first_start()
