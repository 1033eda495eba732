import io
import re

import pytest
from rich.console import Console

from vidmoco import progress
from vidmoco.train.progress import TrainingProgress, describe, length_of

METRICS = {"loss": 5.7213, "top1": 9.84, "pairs_per_second": 84.6, "data_wait_share": 0.031}


def test_the_metrics_in_a_line():
    line = "loss 5.721  top-1 9.8 %  85 pairs/s  data wait 3%"
    assert describe(METRICS, num_failures=0) == line
    assert describe(METRICS, num_failures=2) == f"{line}  2 unreadable"
    assert describe({}, num_failures=2) == ""


@pytest.mark.parametrize(
    ("recipe", "more"), [("moco_v2", " --recipe tiny_cpu (ResNet-18, 64 px) "), ("tiny_cpu", "")]
)
def test_a_run_of_days_is_told_once(monkeypatch, recipe, more):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    monkeypatch.setattr(progress, "LOG_LINE_SECONDS", 1e9)
    console = Console(file=io.StringIO(), width=200)
    with TrainingProgress(console, total_steps=10_000, start_step=0, recipe=recipe) as bar:
        for step in range(1, 9):
            now += 30.0
            bar.show(step, METRICS, num_failures=0)
    time, line = console.file.getvalue().splitlines()
    assert time == "time    3.5 days to come"
    assert line.startswith(f"At this speed the run takes 3.5 more days.{more}")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "about 1 s"),
        (89, "about 89 s"),
        (720, "about 12 minutes"),
        (9000, "about 2.5 hours"),
        (2.6e5, "3.0 days"),
    ],
)
def test_how_long_it_takes(seconds, text):
    assert length_of(seconds) == text


def test_a_method_without_negatives_has_no_top1():
    metrics = {name: value for name, value in METRICS.items() if name != "top1"}
    text = describe(METRICS, num_failures=0)
    assert describe(metrics, num_failures=0) == re.sub(r"top-1 [\d.]+ %  ", "", text) != text


def test_the_last_step_has_a_line():
    console = Console(file=io.StringIO(), width=200)
    with TrainingProgress(console, total_steps=2, start_step=0, recipe="") as bar:
        bar.show(1, {}, num_failures=0)
        bar.show(2, METRICS, num_failures=1)
    expected = f"step 2/2  {describe(METRICS, num_failures=1)}\n"
    assert console.file.getvalue() == expected
