import json
import math
from types import SimpleNamespace

import pytest
import torch

from vidmoco import distributed
from vidmoco.errors import TrainingError
from vidmoco.json_lines import read_metrics
from vidmoco.train import metrics as metrics_module
from vidmoco.train.metrics import TIMING_KEYS, MetricsLog, require_finite_weights


def log(path, *, log_every=2, total_steps=7):
    return MetricsLog(path, log_every=log_every, batch_size=4, total_steps=total_steps)


def feed(metrics, steps):
    for step in steps:
        values = {"loss": torch.tensor(float(step)), "top1": torch.tensor(10.0 * step)}
        metrics.log(
            step,
            values=values,
            epoch=step / 3,
            lr=0.1,
            describe=lambda step=step: {"spread": step / 10},
        )


def without_timing(lines):
    return [{k: v for k, v in line.items() if k not in TIMING_KEYS} for line in lines]


def test_a_line_is_the_mean_over_its_interval_and_the_last_step_has_one(tmp_path):
    path = tmp_path / "metrics.jsonl"
    feed(log(path), range(1, 8))
    lines = read_metrics(path)
    assert [(line["step"], line["loss"], line["top1"]) for line in lines] == [
        (2, 1.5, 15), (4, 3.5, 35), (6, 5.5, 55), (7, 7, 70),
    ]  # fmt: skip
    assert set(TIMING_KEYS) <= set(lines[0])


@pytest.mark.parametrize("stopped_after", [1, 2, 3, 5])
def test_a_resume_writes_the_lines_of_an_uninterrupted_run(tmp_path, stopped_after):
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    feed(log(whole), range(1, 8))
    first = log(parts)
    feed(first, range(1, stopped_after + 1))
    state = first.state_dict()
    feed(first, range(stopped_after + 1, 7))  # went on after the checkpoint, then was killed
    with parts.open("a") as file:
        file.write('{"step": 6, "lo')
    second = log(parts)
    second.load_state_dict(state, step=stopped_after)
    feed(second, range(stopped_after + 1, 8))
    assert without_timing(read_metrics(parts)) == without_timing(read_metrics(whole))
    assert all(json.loads(line) for line in parts.read_text().splitlines())


@pytest.mark.parametrize(
    ("rank", "world_size", "loss"), [(0, 2, 2.0), (1, 2, 4.0), (0, 1, 3.0), (2, 3, 3.0)]
)
def test_each_process_goes_on_with_its_own_sums(tmp_path, monkeypatch, rank, world_size, loss):
    """Another number of processes goes on with the mean, of which the mean is the same."""
    monkeypatch.setattr(distributed, "rank", lambda: rank)
    monkeypatch.setattr(distributed, "world_size", lambda: world_size)
    metrics = log(tmp_path / "metrics.jsonl")
    metrics.load_state_dict({"sums": {"loss": torch.tensor([2.0, 4.0])}, "count": 1}, step=1)
    assert metrics.sums["loss"].item() == loss
    metrics.load_state_dict({"sums": {"loss": torch.tensor(5.0)}, "count": 1}, step=1)
    assert metrics.sums["loss"].item() == 5.0  # of an earlier version


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, bad):
    metrics = log(tmp_path / "m.jsonl", log_every=5)
    feed(metrics, [1])
    metrics.log(2, values={"loss": torch.tensor(bad)}, epoch=1, lr=0.1, describe=dict)
    with pytest.raises(TrainingError, match=r"--optim.lr.*--resume"):
        metrics.require_finite()
    with pytest.raises(TrainingError):
        metrics.log(5, values={"loss": torch.tensor(1.0)}, epoch=1, lr=0.1, describe=dict)
    assert not (tmp_path / "m.jsonl").exists()


def line_after_ten_seconds(path, monkeypatch, before):
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr(metrics_module, "time", clock)
    metrics = log(path, log_every=1)
    clock.monotonic = lambda: 110.0
    before(metrics)
    feed(metrics, [1])
    (line,) = read_metrics(path)
    return line


def test_the_share_of_time_that_waited_for_data(tmp_path, monkeypatch):
    line = line_after_ten_seconds(tmp_path / "m.jsonl", monkeypatch, lambda log: log.waited(2.5))
    assert line["data_wait_share"] == 0.25
    assert line["pairs_per_second"] == 0.4


def test_time_that_was_not_the_trainings_is_left_out(tmp_path, monkeypatch):
    line = line_after_ten_seconds(tmp_path / "m.jsonl", monkeypatch, lambda log: log.leave_out(6.0))
    assert line["seconds"] == 4.0
    assert line["pairs_per_second"] == 1.0


def test_weights_that_are_not_finite_are_not_saved():
    backbone = torch.nn.Linear(2, 2)
    require_finite_weights(backbone)
    with torch.no_grad():
        backbone.bias[1] = math.nan
    with pytest.raises(TrainingError, match="The weights bias are not finite"):
        require_finite_weights(backbone)
