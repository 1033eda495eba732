"""The whole of it: runs that are watched, and what they leave."""

import io
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from child_processes import launch
from painted_videos import write_video
from PIL import Image
from rich.console import Console
from tiny_run import TINY, numbers, signal_in

from vidmoco import distributed
from vidmoco.checkpoint import list_checkpoints, load_checkpoint
from vidmoco.cli.main import main
from vidmoco.config.monitor import MonitorConfig
from vidmoco.config.recipe import dump_recipe, load_recipe, parse_recipe
from vidmoco.errors import CheckpointError
from vidmoco.json_lines import read_metrics
from vidmoco.train.monitor import Monitor, describe
from vidmoco.train.monitor_backbone import FrozenCopy

WATCHED = ["--monitor.retrieval", "--monitor.distances", "0.3", "0.6", "9"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number in range(18):
        write_video(folder / f"{number:02d}.mp4", num_frames=12, first_index=100 * number)
    return folder


def pretrain(videos, run, *words):
    given = ["pretrain", str(videos), *TINY, "--run", str(run), "--steps", "6", *words]
    return main([*given, "--engine.precision", "fp32"])


@pytest.fixture(scope="module")
def runs(videos, images, tmp_path_factory):
    """A run that nobody watches, and the same one watched."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("VIDMOCO_CACHE", str(folder / "cache"))
        assert pretrain(videos, folder / "alone") == 0
        words = ["--monitor", str(images), "--monitor.every-epochs", "0.25", *WATCHED]
        assert pretrain(videos, folder / "watched", *words) == 0
    return folder / "alone", folder / "watched"


@pytest.fixture
def seen(runs, tmp_path):
    """No run but the first scans the videos."""
    shutil.copytree(runs[0].parent / "cache" / "catalogs", tmp_path / "cache" / "catalogs")


def state(run):
    return load_checkpoint(list_checkpoints(run / "checkpoints")[-1])


def lines(run):
    found = read_metrics(run / "monitor.jsonl")
    assert all(line.pop("seconds") > 0 for line in found)
    return found


def is_same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(a[key], b[key]) for key in a)
    return a == b


def test_a_run_that_is_watched_is_the_same_run(runs):
    alone, watched = runs
    assert not (alone / "monitor.jsonl").exists()
    assert numbers(watched) == numbers(alone)
    ours, theirs = state(watched), state(alone)
    for part in ("method", "optimizer", "augment_generator", "torch_generator"):
        assert is_same(ours[part], theirs[part]), part


def test_it_measures_the_untrained_backbone_each_quarter_of_an_epoch_and_the_last(runs):
    found = lines(runs[1])
    assert [(line["step"], line["epoch"]) for line in found] == [
        (0, 0), (2, 0.25), (4, 0.5), (6, 0.75)
    ]  # fmt: skip
    for line in found:
        assert set(line) == {"step", "epoch", "knn_top1", "retrieval"}
        assert set(line["retrieval"]) == {"0.3", "0.6"}  # no video lasts 9 s
        assert all(0 <= value <= 100 for value in line["retrieval"].values())
    assert len({json.dumps(line) for line in found}) == 4
    assert len({line["knn_top1"] for line in found}) > 1


def evaluated(run, images, *words):
    main(["evaluate", str(images), "--backbone", str(run), "--no-linear", *words, "-o", "r.json"])
    (row,) = json.loads(Path("r.json").read_text())["rows"]
    return row["knn_top1"]["0.07"]["20"]


def test_the_last_number_is_the_one_that_evaluate_gives(runs, images):
    assert evaluated(runs[1], images) == lines(runs[1])[-1]["knn_top1"]


@pytest.mark.usefixtures("seen")
def test_the_head_can_be_measured_in_place_of_the_backbone(videos, images, tmp_path, runs):
    words = ["--monitor", str(images), "--monitor.every-epochs", "0.25", *WATCHED]
    widths = []
    measured = FrozenCopy.features

    def measure(frozen, batches):
        widths.append(measured(frozen, batches).values.shape[1])
        return measured(frozen, batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrozenCopy, "features", measure)
        assert pretrain(videos, tmp_path / "run", *words, "--monitor.output", "projector") == 0
    assert set(widths) == {128}  # the backbone has 512
    assert lines(tmp_path / "run") != lines(runs[1])
    assert numbers(tmp_path / "run") == numbers(runs[0])


@pytest.mark.usefixtures("seen")
def test_some_training_images_of_each_class_are_those_of_evaluate(videos, images, tmp_path):
    words = ["--monitor.images", os.path.relpath(images), "--monitor.max-train-per-class", "3"]
    assert pretrain(videos, tmp_path / "run", *words, "--seed", "5", "--steps", "1") == 0
    assert load_recipe(str(tmp_path / "run" / "config.yaml")).monitor.images.is_absolute()
    (first, last) = lines(tmp_path / "run")
    assert (first["step"], last["step"]) == (0, 1)
    few = evaluated(tmp_path / "run", images, "--max-train-per-class", "3")
    assert few == last["knn_top1"] != evaluated(tmp_path / "run", images)


@pytest.mark.usefixtures("seen")
def test_stopped_and_resumed_it_has_the_same_lines(runs, videos, images, tmp_path):
    words = ["--monitor", str(images), "--monitor.every-epochs", "0.25", *WATCHED]
    with signal_in(4):  # its line is not there yet
        assert pretrain(videos, tmp_path / "run", *words) == 143
    assert [line["step"] for line in lines(tmp_path / "run")] == [0, 2]
    assert main(["pretrain", "--resume"]) == 0
    assert lines(tmp_path / "run") == lines(runs[1])
    assert numbers(tmp_path / "run") == numbers(runs[0])
    assert is_same(state(tmp_path / "run")["method"], state(runs[0])["method"])
    # It may be watched no more, or more often; of something else, its curve would be of two things.
    assert main(["pretrain", "--resume", "--monitor.every-epochs", "0.5"]) == 0
    assert main(["pretrain", "--resume", "--monitor.k", "3"]) == 2
    assert main(["pretrain", "--resume", "--monitor", "None", "--monitor.no-retrieval"]) == 0
    kept = load_recipe(str(tmp_path / "run" / "config.yaml")).monitor
    assert (kept.images, kept.retrieval, kept.every_epochs) == (None, False, 0.5)


def test_the_settings_are_a_part_of_the_recipe_that_may_be_left_out():
    config = load_recipe("vidmoco")
    assert config.monitor == MonitorConfig()
    watched = replace(config, monitor=MonitorConfig(images=Path("/i"), distances=(1.0, 3.5)))
    assert parse_recipe(dump_recipe(watched), source="x") == watched
    before = dump_recipe(config).partition("monitor:")
    text = before[0] + before[2][before[2].index("limits:") :]
    assert "monitor" not in text
    assert parse_recipe(text, source="x") == config


class Counting:
    """A probe that counts how often it is asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, frozen):
        self.calls += 1
        return {"knn_top1": 10.0 + self.calls}


def monitor(backbone, probe, path, *, start_step=0, total_steps=35, every_epochs=None):
    cpu, log = torch.device("cpu"), io.StringIO()
    frozen = FrozenCopy(backbone, size=32, device=cpu, precision="fp32")
    config = MonitorConfig(every_epochs=every_epochs)
    console = Console(file=log, width=200)
    made = Monitor(config, frozen, [probe], device=cpu, console=console)
    made.begin(path, start_step=start_step, total_steps=total_steps, num_steps_per_epoch=3)
    return made, log


def steps(path):
    return [line["step"] for line in read_metrics(path)]


def test_all_processes_wait_until_the_main_one_has_scored(backbone, tmp_path, monkeypatch):
    """In a step they would be taken for hanging."""
    order = []
    watch, _ = monitor(backbone, lambda _: order.append("scored") or {}, tmp_path / "log.jsonl")
    monkeypatch.setattr(distributed, "any_of", lambda flag: order.append("met"))
    assert watch.look(4) > 0 and order == ["scored", "met"]
    assert watch.look(5) == 0 and len(order) == 2


def test_when_it_looks(backbone, tmp_path):
    probe, path = Counting(), tmp_path / "monitor.jsonl"
    watch, log = monitor(backbone, probe, path)
    assert [watch.look(3), watch.look(5)] == [0.0, 0.0]
    assert watch.look(4) > 0
    for step in range(36):
        watch.look(step)
    assert steps(path) == [4, 0, *range(8, 33, 4), 35]
    assert probe.calls == len(steps(path))
    assert "every 4 steps" in log.getvalue()
    assert re.search(r"step 8, epoch 2\.667:  k-NN 13\.0 % \(\d+\.\d s, ", log.getvalue())
    assert "of the time so far)" in log.getvalue()
    # After a kill: what came after the checkpoint is dropped, what came before is not repeated.
    watch, _ = monitor(backbone, probe, path, start_step=9)
    assert steps(path) == [4, 0, 8]
    assert watch.look(8) == 0.0
    watch.look(12)
    assert steps(path) == [4, 0, 8, 12]
    other, _ = monitor(backbone, probe, tmp_path / "other.jsonl", every_epochs=0.1)
    assert all(other.look(step) > 0 for step in range(3))


def test_features_that_cannot_be_used_do_not_end_the_training(backbone, tmp_path):
    def broken(frozen):
        raise CheckpointError("features that are not finite")

    watch, log = monitor(backbone, broken, tmp_path / "m.jsonl")
    assert watch.look(0) > 0
    (line,) = read_metrics(tmp_path / "m.jsonl")
    assert line.pop("seconds") >= 0
    assert line == {"step": 0, "epoch": 0.0, "failure": "features that are not finite"}
    assert "step 0, epoch 0:  features that are not finite" in log.getvalue()


def test_a_line_in_words():
    line = {"step": 70, "epoch": 10.0, "knn_top1": 12.34, "retrieval": {"0.5": 87.1, "2": 60.25}}
    assert describe(line) == (
        "step 70, epoch 10:  k-NN 12.3 %  same video at 0.5 s 87.1 %, 2 s 60.2 %"
    )


def test_single_images_have_no_time(images, tmp_path, capsys):
    assert pretrain(images / "train", tmp_path / "run", "--monitor.retrieval", "--steps", "1") == 0
    assert "images have only one frame" in capsys.readouterr().err
    assert not (tmp_path / "run" / "monitor.jsonl").exists()


def save_image(path):
    path.parent.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(path)


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--monitor", "none"], ["No such file or folder", "none"]),
        (["--monitor", "one"], ["images of one class only ('a')"]),
        (
            ["--monitor", "damaged"],
            ["No image of 'a', 'b' in train could be read", "2 are damaged"],
        ),
        (["--monitor", "empty"], ["empty has no training part"]),
        (["--monitor", "IMAGES", "--monitor.max-gib", "1e-6"], ["--monitor.max-gib is 1e-06"]),
        (
            ["--monitor.retrieval", "--monitor.distances", "7"],
            ["--monitor.distances is 7 s", "1.2"],
        ),
    ],
)
def test_bad_input_is_one_clear_line(videos, images, tmp_path, capsys, words, expected):
    (tmp_path / "empty").mkdir()
    for split in ("train", "val"):
        save_image(tmp_path / "one" / split / "a" / "0.png")
        for name in ("a", "b"):
            (tmp_path / "damaged" / split / name).mkdir(parents=True)
            (tmp_path / "damaged" / split / name / "0.png").write_bytes(b"no image")
    given = [str(images) if word == "IMAGES" else word for word in words]
    assert pretrain(videos, tmp_path / "run", *given) == 2
    error = " ".join(capsys.readouterr().err.split())
    for part in expected:
        assert part in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize(
    "words",
    [
        ["--monitor.every-epochs", "0"], ["--monitor.k", "0"], ["--monitor.tau", "0"],
        ["--monitor.distances", "1", "1"], ["--monitor.distances", "-1"],
        ["--monitor.videos", "1"], ["--monitor.max-train-per-class", "0"],
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(videos, tmp_path, capsys, words):
    assert pretrain(videos, tmp_path / "run", *words) == 2
    assert f"{words[0]} is" in " ".join(capsys.readouterr().err.split())


RANKS = """
import sys, torch
from vidmoco import distributed
from vidmoco.backbones.build import build_backbone
from vidmoco.cli.main import main
from vidmoco.evaluate.features import ImageBatch
from vidmoco.train.monitor_backbone import FrozenCopy

torch.manual_seed(0)
images = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
def batch(rows):
    rows = torch.tensor(rows)
    there = torch.ones(len(rows)).bool()
    return ImageBatch(rows=rows, images=images[rows], is_read=there, refused=[])
backbone = build_backbone("resnet10t", size=32)
cpu = torch.device("cpu")
expected = FrozenCopy(backbone, size=32, device=cpu, precision="fp32").features([batch(range(5))])
with distributed.processes_from_environment():
    if not distributed.is_main():  # as after some steps
        for module in backbone.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean += 1
    frozen = FrozenCopy(backbone, size=32, device=cpu, precision="fp32")
    frozen.update()
    found = frozen.features([batch(distributed.shard(5))])
    assert torch.equal(found.rows, expected.rows)
    torch.testing.assert_close(found.values, expected.values)
    assert main(sys.argv[1:]) == 0
"""


@pytest.mark.usefixtures("seen")
def test_two_processes_share_the_work(videos, images, tmp_path):
    words = ["pretrain", str(videos), *TINY, "--steps", "2", "--run", "run", *WATCHED]
    words += ["--monitor", str(images), "--monitor.every-epochs", "0.125"]
    launch(["-c", RANKS, *words, "--engine.precision", "fp32"], world_size=2)
    found = lines(tmp_path / "run")
    assert [line["step"] for line in found] == [0, 1, 2]
    # Batches of another size are rounded otherwise: an image at the most is another one's.
    assert found[-1]["knn_top1"] == pytest.approx(evaluated("run", images), abs=100 / 30 + 1e-6)
