"""Whole commands on the GPU: runs that go on, also on the other device, and the monitor."""

import json

import pytest
import torch
from child_processes import launch
from painted_videos import write_videos
from PIL import Image
from tiny_run import numbers, signal_in

from vidmoco.backbones.build import load_backbone
from vidmoco.cli.main import main
from vidmoco.json_lines import read_metrics

SMALL = """
steps: 6
data: {batch_size: 8, short_side: 32, workers: 1}
augment: {size: 32}
backbone: {name: test_resnet}
method: {name: moco, dim: 8, queue_size: 16, bn_splits: 2}
optim: {name: sgd, lr: 0.1}
engine: {log_every: 1, precision: fp32, threads: 1}
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painted")
    write_videos(folder, 16)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def begin(videos, run, device, *more):
    words = ["pretrain", str(videos), "--recipe", "small.yaml", "--run", run, *more]
    return main([*words, "--device", device])


def in_two_parts(videos, run, devices):
    """Train until a signal comes in the third step, and go on elsewhere."""
    with signal_in(3):
        assert begin(videos, run, devices[0]) == 143
    assert main(["pretrain", "--run", run, "--resume", "--device", devices[1]]) == 0


@pytest.mark.parametrize("places", ["there and there", "here and there", "there and here"])
def test_a_run_goes_on_on_either_device(places, videos, folder, device):
    devices = ["cpu" if place == "here" else device.type for place in places.split(" and ")]
    assert begin(videos, "whole", "cpu") == 0
    in_two_parts(videos, "parts", devices)
    found, expected = numbers(folder / "parts"), numbers(folder / "whole")
    assert [line["step"] for line in found] == [1, 2, 3, 4, 5, 6]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-2)
        assert ours["queue_age"] == pytest.approx(theirs["queue_age"])
    weights = [load_backbone(folder / run).state_dict() for run in ("parts", "whole")]
    for key, value in weights[1].items():
        torch.testing.assert_close(weights[0][key], value, rtol=5e-2, atol=5e-3)


def test_two_processes_share_a_gpu(videos, folder, device):
    """By gloo, because NCCL takes no two processes of one card."""
    assert begin(videos, "one", device.type) == 0
    words = ["-m", "vidmoco", "pretrain", str(videos), "--recipe", "small.yaml", "--run", "two"]
    where = "cuda:0" if device.type == "cuda" else "cpu"
    launch([*words, "--device", where], world_size=2)
    one, two = numbers(folder / "one"), numbers(folder / "two")
    assert [line["step"] for line in two] == [line["step"] for line in one]
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-2)


def write_images(folder):
    for split, count in (("train", 6), ("val", 4)):
        for name, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                tint = tuple(value + 5 * number for value in colour)
                Image.new("RGB", (40, 40), tint).save(folder / split / name / f"{number}.png")
    return folder


def test_evaluation_on_the_gpu_gives_the_numbers_of_the_cpu(folder, device):
    images = write_images(folder / "images")
    rows = []
    for where in ("cpu", device.type):
        words = ["evaluate", str(images), "--backbone", "random:test_resnet", "--size", "32"]
        words += ["--k", "1", "3", "--workers", "0", "--finetune", "head", "--finetune-epochs", "2"]
        output = folder / f"{where}.json"
        assert main([*words, "--device", where, "--fresh", "-o", str(output)]) == 0
        (row,) = json.loads(output.read_text())["rows"]
        rows.append(row)
    on_cpu, on_device = rows
    assert on_device["knn_top1"] == on_cpu["knn_top1"]
    assert on_device["linear_top1"] == pytest.approx(on_cpu["linear_top1"], abs=15)
    losses = [[e["train_loss"] for e in row["finetune"]["head"]["epochs"]] for row in rows]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_the_monitor_gives_the_number_of_evaluate(videos, folder, device):
    images = write_images(folder / "images")
    begin(
        videos,
        "run",
        device.type,
        "--monitor.images",
        str(images),
        "--monitor.every-epochs",
        "0.25",
    )
    lines = read_metrics(folder / "run" / "monitor.jsonl")
    assert [line["step"] for line in lines] == [0, 2, 4, 6]
    words = ["evaluate", str(images), "--backbone", "run", "--size", "32", "--k", "20"]
    assert main([*words, "--device", device.type, "--no-linear", "-o", "r.json"]) == 0
    (row,) = json.loads((folder / "r.json").read_text())["rows"]
    assert lines[-1]["knn_top1"] == row["knn_top1"]["0.07"]["20"]
