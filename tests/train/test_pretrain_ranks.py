"""A training by two processes is the training by one, from the videos to the checkpoint."""

import signal

import pytest
import torch
from child_processes import launch, start_ranks, until

from vidmoco.backbones.build import load_backbone
from vidmoco.checkpoint import list_checkpoints, load_checkpoint
from vidmoco.cli.main import main
from vidmoco.json_lines import read_metrics
from vidmoco.train.metrics import TIMING_KEYS

# Of 64 pixels the last batch norms see 16 values a part. Of 32 they see four, and rounding grows 40
# times as fast.
SMALL = """
steps: 6
data: {batch_size: 8, short_side: 32, pairs_per_visit: 2, workers: %d}
augment: {size: 64}
backbone: {name: resnet10t}
method: {%s}
optim: {%s}
engine: {log_every: 2, precision: fp32, threads: 1}
"""
RUNS = {
    "moco": (1, "name: moco, queue_size: 20, bn_splits: 2", "accumulate: 2"),
    "moco_v3": (0, "name: moco_v3, dim: 8, hidden_dim: 16", "name: lars, decay_vectors: false"),
}


def lines(run):
    return [
        {key: value for key, value in line.items() if key not in TIMING_KEYS}
        for line in read_metrics(run / "metrics.jsonl")
    ]


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_as_one(name, videos, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL % RUNS[name])
    words = ["pretrain", str(videos), "--recipe", "small.yaml"]
    # Two micro-batches of a process are parts of its own batch, and not of the whole one.
    words += ["--optim.accumulate", "1", "--run"]
    assert main([*words, "one"]) == 0
    launch(["-m", "vidmoco", *words, "two"], world_size=2)
    one, two = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert [line["step"] for line in two] == [2, 4, 6]
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-3)
        assert b["positive"] == pytest.approx(a["positive"], rel=1e-2, abs=1e-3)
        assert b["effective_rank"] == pytest.approx(a["effective_rank"], rel=1e-2)
    states = [load_checkpoint(list_checkpoints(tmp_path / run / "checkpoints")[-1])
              for run in ("one", "two")]  # fmt: skip
    if name == "moco":
        ids = [state["method"]["queue.source_ids"].tolist() for state in states]
        assert ids[0] == ids[1]
    assert torch.equal(*(state["augment_generator"] for state in states))
    weights = [load_backbone(tmp_path / run).state_dict() for run in ("one", "two")]
    for key in ("conv1.0.weight", "layer1.0.conv1.weight"):
        # Not each weight: rounding, which depends on the processor, grows with the steps.
        assert (weights[1][key] - weights[0][key]).norm() < 5e-3 * weights[0][key].norm()


def test_a_signal_to_one_stops_all_and_they_resume(videos, tmp_path):
    (tmp_path / "small.yaml").write_text(
        (SMALL % RUNS["moco_v3"]).replace("steps: 6", "steps: 100000")
    )
    words = ["-m", "vidmoco", "pretrain", str(videos), "--recipe", "small.yaml", "--run", "run"]
    processes = start_ranks([*words, "--data.workers", "1"], world_size=2)
    metrics = tmp_path / "run" / "metrics.jsonl"
    until(lambda: metrics.exists() or any(process.poll() for process in processes))
    processes[1].send_signal(signal.SIGTERM)
    codes = [process.wait() for process in processes]
    errors = [process.err for process in processes]
    assert codes == [0, 143], errors
    assert "Stopped by another process after step" in errors[0]
    assert errors[1] == ""
    (checkpoint,) = list_checkpoints(tmp_path / "run" / "checkpoints")
    step = load_checkpoint(checkpoint)["step"]
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("steps: 100000", f"steps: {step + 2}"))
    launch(
        ["-m", "vidmoco", "pretrain", "--run", "run", "--resume", "--data.workers", "0"],
        world_size=2,
    )
    assert lines(tmp_path / "run")[-1]["step"] == step + 2


def test_what_processes_cannot_share_is_refused(videos, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL % RUNS["moco_v3"])
    command = ["-m", "vidmoco", "pretrain", str(videos), "--recipe", "small.yaml"]
    with pytest.raises(AssertionError, match="not a multiple of the number of processes, 2"):
        launch([*command, "--run", "run", "--data.batch-size", "7"], world_size=2)
    (tmp_path / "small.yaml").write_text(SMALL % RUNS["moco"])
    with pytest.raises(AssertionError, match=r"4 for each of 2 processes\. Each process splits"):
        words = ["--run", "run", "--optim.accumulate", "4", "--method.bn-splits", "1"]
        launch([*command, *words], world_size=2)
