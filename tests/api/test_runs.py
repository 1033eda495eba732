import json
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import timm
import torch
from painted_videos import read_index, write_video
from PIL import Image
from tiny_run import SMALL, numbers, signal_in

import vidmoco
from vidmoco.cli.main import main
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.interrupt import Stopped


def test_a_run_of_three_videos_from_python(run, videos):
    assert run.is_finished
    assert run.metrics.column("step").to_pylist() == [1, 2]
    assert run.monitor.num_rows == 0
    assert run.config.data.batch_size == 8 and run.config.videos == (videos,)
    assert run.config.method.queue_size == 40 and run.config.method.name == "moco"
    with torch.no_grad():
        assert run.backbone()(torch.zeros(2, 3, 32, 32)).shape == (2, 96)
    assert vidmoco.load_run(str(run.path)) == run
    page = run.report()
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_a_second_call_is_the_same_and_a_stopped_run_goes_on(run, videos, tmp_path, monkeypatch):
    again = vidmoco.pretrain([str(videos)], run=str(tmp_path / "b"), steps=2, **SMALL)
    assert again.metrics.column("loss") == run.metrics.column("loss")
    resumed = {"run": tmp_path / "b", "resume": True, "quiet": True}
    assert vidmoco.pretrain(videos, **resumed) == again
    with pytest.raises(ConfigError, match=r"differ in optim\.lr: "):
        vidmoco.pretrain(**resumed, optim={"lr": 9.0})
    with pytest.raises(ConfigError, match="differ in videos: "):
        vidmoco.pretrain(tmp_path, **resumed)
    assert vidmoco.pretrain(**resumed, steps=3, workers=1).metrics.num_rows == 3
    with pytest.raises(ConfigError, match="No videos given"):
        vidmoco.pretrain()
    with pytest.raises(ConfigError, match="No videos given"):
        vidmoco.pretrain(recipe="tiny_cpu")
    repeated = vidmoco.pretrain(recipe=run.path, run=tmp_path / "c", quiet=True)  # on its videos
    assert repeated.metrics.column("loss") == run.metrics.column("loss")
    monkeypatch.chdir(tmp_path)
    unnamed = vidmoco.pretrain(videos, steps=1, **SMALL | {"method": "simclr"})
    assert (
        unnamed.path == Path("runs/tiny_cpu-1").absolute()
        and unnamed.config.method.name == "simclr"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_program_too(run, videos, tmp_path, number):
    """Else a loop over seeds would go on, and an unfinished backbone be judged."""
    place = tmp_path / "b"
    with signal_in(1, number), pytest.raises(KeyboardInterrupt) as stopped:
        vidmoco.pretrain(videos, run=place, steps=2, **SMALL)
    assert f"Stopped by {number.name} after step 1 of 2. Continue with" in str(stopped.value)
    assert f"run='{place}', resume=True" in str(stopped.value)
    assert getattr(stopped.value, "exit_code", 130) == 128 + number
    assert isinstance(stopped.value, Stopped) == (number == signal.SIGTERM)
    assert vidmoco.pretrain(run=place, resume=True, quiet=True).is_finished
    assert numbers(place) == numbers(run.path)
    with signal_in(1, number), pytest.raises(KeyboardInterrupt, match="b is finished: its 3"):
        vidmoco.pretrain(run=place, resume=True, quiet=True, steps=3)


def test_a_function_gets_each_line_and_may_end_the_training(run, videos, tmp_path):
    lines = []
    given = {"run": tmp_path / "b", "steps": 2, **SMALL}

    class Enough(Exception):
        pass

    def end_at_once(line):
        lines.append(line)
        raise Enough

    with pytest.raises(Enough) as raised:
        vidmoco.pretrain(videos, on_log=end_at_once, **given)
    assert raised.traceback[-1].name == "end_at_once"
    assert "after step 1 of 2. Continue with vidmoco.pretrain(run=" in raised.value.__notes__[0]
    stopped = vidmoco.load_run(tmp_path / "b")
    assert stopped.metrics.num_rows == 1 and not stopped.is_finished
    assert sum(one.numel() for one in stopped.backbone().parameters())
    vidmoco.pretrain(run=stopped, resume=True, quiet=True, on_log=lines.append)
    assert lines == stopped.metrics.to_pylist() and stopped.is_finished
    assert numbers(stopped.path) == numbers(run.path)


def test_the_settings_of_a_run_are_a_recipe(run, videos, tmp_path):
    assert vidmoco.load_recipe(run.path) == vidmoco.load_recipe(str(run.path)) == run.config
    for number, recipe in enumerate([run.config, run, str(run.path)]):
        other = vidmoco.pretrain(videos, run=tmp_path / f"{number}", recipe=recipe, quiet=True)
        assert other.config == run.config
        assert other.metrics.column("loss") == run.metrics.column("loss")


def test_a_training_leaves_the_generator_of_the_caller(videos, tmp_path):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    vidmoco.pretrain(videos, run=tmp_path / "b", steps=1, **SMALL)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stepz": 3}, "unknown key 'stepz'. Did you mean 'steps'"),
        ({"data": {"max_gaps": 3}}, r"unknown key 'data\.max_gaps'"),
        ({"method": "moko"}, r"'method\.name' is 'moko'"),
        ({"batch_size": "many"}, r"'data\.batch_size' is 'many'; it must be a whole number"),
        ({"batch_size": 4, "data": {"batch_size": 8}}, "'batch_size' is given, and in 'data' too"),
    ],
)
def test_settings_that_cannot_be(videos, settings, message):
    with pytest.raises(ConfigError, match=message):
        vidmoco.pretrain(videos, **settings)


def test_a_run_is_found_from_any_folder(run, videos, tmp_path, monkeypatch):
    """Its paths are absolute, ``~`` is the home folder, and the caller's threads stay."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("latest").symlink_to(run.path)
    for label in "ab":
        for part in ("train", "val"):
            folder = tmp_path / "images" / part / label
            folder.mkdir(parents=True)
            Image.new("RGB", (16, 16), (99 * (label == "a"),) * 3).save(folder / f"{part}.png")
    settings = SMALL | {"backbone": "latest", "steps": 1}
    torch.set_num_threads(2)
    began = vidmoco.pretrain(videos, run="~/runs/a", monitor={"images": "images"}, **settings)
    assert torch.get_num_threads() == 2
    assert began.path == tmp_path / "runs" / "a" and not Path("~").exists()
    assert began.config.backbone.name == str(run.path.resolve())
    assert began.config.monitor.images == tmp_path / "images"
    monkeypatch.chdir("/")
    assert main(["pretrain", "--run", str(began.path), "--resume", "--steps", "2"]) == 0
    assert vidmoco.load_run("~/runs/a").metrics.num_rows == 2


def test_a_run_is_a_backbone_to_begin_with(run, videos, tmp_path):
    for number, given in enumerate((run, run.path, {"name": str(run.path)})):
        began = vidmoco.pretrain(
            videos, run=tmp_path / str(number), steps=1, **SMALL | {"backbone": given}
        )
        assert began.config.backbone.name == str(run.path)


def test_the_monitor_of_a_run_whose_lines_have_other_columns(tmp_path):
    lines = [{"step": 2, "failure": "no image"}, {"step": 4, "knn_top1": 25.0}]
    lines[1]["retrieval"] = {"1": 50.0}
    (tmp_path / "monitor.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = vidmoco.Run(tmp_path).monitor
    assert table.column_names == ["step", "failure", "knn_top1", "retrieval"]
    assert table.column("knn_top1").to_pylist() == [None, 25.0]
    assert table.column("retrieval").to_pylist()[1] == {"1": 50.0}


def test_paths_of_all_kinds_are_taken(run):
    assert vidmoco.load_recipe(run.path / "config.yaml") == run.config
    assert sum(one.numel() for one in vidmoco.load_backbone(run).parameters())
    with pytest.raises(ConfigError, match=r"There is no backbone at .*missing\. Expected a run"):
        vidmoco.load_backbone(vidmoco.Run(Path("missing")))


def test_no_run(tmp_path):
    with pytest.raises(CheckpointError, match="is no run folder: it has no config"):
        vidmoco.load_run(tmp_path)


def test_all_public_names_are_there_and_documented():
    code = "import vidmoco; [getattr(vidmoco, name) for name in vidmoco.__all__]"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in vidmoco.__all__:
        assert getattr(vidmoco, name).__doc__
    assert {"pretrain", "embed"} <= set(dir(vidmoco))


def test_a_backbone_in_plain_timm(run):
    assert timm.create_model(f"local-dir:{run.path / 'backbone'}", pretrained=True).num_features


def test_painted_videos_are_read(videos, tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=1, first_index=7)
    pairs = vidmoco.FramePairs(tmp_path, batch_size=2, short_side=64, workers=0)
    batch = next(iter(pairs))
    assert read_index(batch["frames"][0, 0].permute(1, 2, 0).numpy()) == 7


@pytest.mark.parametrize("state", ["inference", "float64", "meta"])
def test_what_the_caller_has_set_for_torch_changes_no_training(run, videos, tmp_path, state):
    before = torch.get_default_dtype(), torch.get_default_device()
    with ExitStack() as stack:
        if state == "inference":
            stack.enter_context(torch.inference_mode())
        elif state == "float64":
            stack.callback(torch.set_default_dtype, before[0])
            torch.set_default_dtype(torch.float64)
        else:
            stack.enter_context(torch.device("meta"))
        again = vidmoco.pretrain(videos, run=tmp_path / "b", steps=2, **SMALL)
        left = torch.is_inference_mode_enabled(), torch.get_default_dtype(), torch.empty(1).device
    assert numbers(again.path) == numbers(run.path)
    assert next(again.backbone().parameters()).dtype == torch.float32
    dtype = torch.float64 if state == "float64" else before[0]
    device = "meta" if state == "meta" else before[1].type
    assert left == (state == "inference", dtype, torch.device(device))


def test_trainings_in_threads_come_one_after_the_other(run, videos, tmp_path, capfd):
    def train(name):
        return vidmoco.pretrain(videos, run=tmp_path / name, steps=2, **SMALL | {"quiet": False})

    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(train, ["b", "c"]))
    assert [numbers(one.path) for one in both] == 2 * [numbers(run.path)]
    waits = "Another training runs in this process, and this one begins after it."
    assert capfd.readouterr().err.count(waits) == 1


def test_a_run_is_where_it_was_when_the_folder_changes(run, tmp_path, monkeypatch):
    shutil.copytree(run.path, tmp_path / "here" / "a")
    monkeypatch.chdir(tmp_path / "here")
    near = vidmoco.load_run("a")
    monkeypatch.chdir(tmp_path)
    assert near.is_finished and near.metrics.num_rows == 2
    shutil.rmtree(tmp_path / "here")
    with pytest.raises(CheckpointError, match=r"There is no run folder .*/here/a any more"):
        _ = near.metrics
