"""A job whose processes are killed and started again ends with the numbers of one that is not.

More moments: ``VIDMOCO_FAULT_SEEDS=100 pytest tests/faults/test_restarts.py``.
"""

import os
import random
import re
import signal
import sys
import time

import pytest
from child_processes import Process, start_ranks, until
from painted_videos import write_videos
from tiny_run import numbers

from vidmoco.checkpoint import list_checkpoints, load_checkpoint
from vidmoco.cli.main import main

SEEDS = range(max(1, int(os.environ.get("VIDMOCO_FAULT_SEEDS", "10")) // 10))  # minutes each
SMALL = """
steps: 12
data: {batch_size: 8, short_side: 32, pairs_per_visit: 2, workers: 1}
augment: {size: 64}
backbone: {name: resnet10t}
method: {name: moco, queue_size: 24, bn_splits: 2}
engine: {log_every: 2, precision: fp32, threads: 1, checkpoint_steps: 3}
"""
WORDS = ["pretrain", "videos", "--recipe", "small.yaml", "--resume", "auto", "--run"]
COMMAND = ["-m", "vidmoco", *WORDS]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("restarts")
    write_videos(folder / "videos", 16)
    (folder / "small.yaml").write_text(SMALL)
    return folder


@pytest.fixture(scope="module")
def undisturbed(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("VIDMOCO_CACHE", str(place / "cache"))
        ranks = start_ranks([*COMMAND, "whole"], world_size=2)
        assert [rank.wait() for rank in ranks] == [0, 0], [rank.err for rank in ranks]
    return place / "whole"


@pytest.fixture
def here(place, undisturbed, tmp_path, monkeypatch):
    """The folder of the job, whose videos are known."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("VIDMOCO_CACHE", str(place / "cache"))
    return tmp_path / "run"


def lines_of(run):
    metrics = run / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.exists() else 0


def killed_at(run, *, victim, lines, seconds=0.0):
    """Start the job, kill one of its processes, and end the other as torchrun does."""
    before = lines_of(run)
    ranks = start_ranks([*COMMAND, str(run)], world_size=2)

    def is_time():
        begun = lines_of(run) >= lines if before < lines else "steps" in ranks[0].err
        return begun or any(rank.poll() is not None for rank in ranks)

    until(is_time)
    time.sleep(seconds)
    ranks[victim].send_signal(signal.SIGKILL)
    ranks[1 - victim].send_signal(signal.SIGTERM)
    assert ranks[1 - victim].wait() in (0, 2, 143, -15)  # 0: it was through
    assert "Traceback" not in ranks[1 - victim].err
    ranks[victim].wait()


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_process_costs_the_steps_since_the_last_save(seed, victim, undisturbed, here):
    moments = random.Random(seed * 2 + victim)
    for _ in range(1 + seed % 2):
        killed_at(here, victim=victim, lines=moments.randint(0, 4), seconds=moments.random())
    ranks = start_ranks([*COMMAND, str(here)], world_size=2)
    assert [rank.wait() for rank in ranks] == [0, 0], [rank.err for rank in ranks]
    assert numbers(here) == numbers(undisturbed)
    ours, theirs = (load_checkpoint(list_checkpoints(run / "checkpoints")[-1])
                    for run in (here, undisturbed))  # fmt: skip
    assert ours["step"] == theirs["step"] == 12
    assert all((ours["method"][k] == v).all() for k, v in theirs["method"].items())


# A process that kills itself as it takes a step, once a checkpoint has been written: one that is
# killed from outside may be through.
DYING = """
import os, runpy, signal, sys, time
from pathlib import Path
import vidmoco.train.pretrain as pretrain
step, steps = pretrain.train_step, []
def train_step(*args, **options):
    steps.append(1)
    life = os.environ["RANK"], os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if len(steps) == {step} and life == ("{rank}", "0"):
        while not list(Path(sys.argv[-1], "checkpoints").glob("*.pt")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return step(*args, **options)
pretrain.train_step = train_step
runpy.run_module("vidmoco", run_name="__main__")
"""


def test_one_process_goes_on_where_two_began(undisturbed, here):
    """With the same batches; batch norms see the parts that two processes saw."""
    ranks = start_ranks(["-c", DYING.format(step=8, rank=1), *WORDS, str(here)], world_size=2)
    assert [rank.wait() for rank in ranks] == [2, -signal.SIGKILL], ranks[0].err
    began = load_checkpoint(list_checkpoints(here / "checkpoints")[-1])["step"]
    assert began in (3, 6)
    assert main([*WORDS, str(here)]) == 0
    one, two = numbers(here), numbers(undisturbed)
    assert [line["step"] for line in one] == [line["step"] for line in two]
    for a, b in zip(one, two, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)
    states = [load_checkpoint(list_checkpoints(run / "checkpoints")[-1])["method"]
              for run in (here, undisturbed)]  # fmt: skip
    ids = [state["queue.source_ids"].tolist() for state in states]
    assert ids[0] == ids[1]


def test_torchrun_starts_a_killed_process_again(undisturbed, here):
    """Rank 0, in whose place the others found what had been in torchrun's store."""
    dying = DYING.format(step=5, rank=0)  # after the checkpoint of step 3, before that of step 6
    job = Process(
        ["-m", "torch.distributed.run", "--nnodes=1:2", "--nproc-per-node=2", "--max-restarts=3",
         "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--rdzv-conf=last_call_timeout=1",
         "--no-python", "--", sys.executable, "-c", dying, *WORDS, str(here)]
    )  # fmt: skip
    assert job.wait() == 0, job.err
    assert re.findall(r"steps +(\d+) to 12", job.err) == ["0", "3"], job.err
    assert numbers(here) == numbers(undisturbed)
