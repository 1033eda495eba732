import copy
import json
import os
import pty
import shutil
import signal
import sys
import threading
from contextlib import suppress

import numpy as np
import pytest
import timm
import torch
from child_processes import Process, until
from painted_videos import write_video
from tiny_run import TINY, numbers, signal_in
from torch import nn

from vidmoco.checkpoint import list_checkpoints, load_checkpoint
from vidmoco.cli.main import main
from vidmoco.config.methods import MoCoConfig
from vidmoco.config.recipe import load_recipe
from vidmoco.data import loader
from vidmoco.data.pair_worker import build_pair_worker
from vidmoco.device import autocast
from vidmoco.json_lines import read_metrics
from vidmoco.methods.build import build_method
from vidmoco.methods.protocol import Inputs
from vidmoco.train import pretrain as pretrain_module
from vidmoco.train import step as training_step
from vidmoco.train.metrics import TIMING_KEYS


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number in range(18):
        # Large enough for decord: smaller pictures are PyAV's.
        write_video(
            folder / f"{number:02d}.mp4", num_frames=12, first_index=100 * number, size=(256, 192)
        )
    return folder


def pretrain(videos, run, *words, steps=6):
    given = [] if videos is None else [str(videos)]
    return main(["pretrain", *given, *TINY, "--run", str(run), "--steps", str(steps), *words])


@pytest.fixture(scope="module")
def finished(videos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("VIDMOCO_CACHE", str(folder / "cache"))
        assert pretrain(videos, folder / "run") == 0
    return folder / "run"


@pytest.fixture(autouse=True)
def seen(finished, tmp_path):
    """No run but the first scans the videos."""
    shutil.copytree(finished.parent / "cache", tmp_path / "cache")


def test_a_run_leaves_all_its_parts(finished, videos):
    assert {p.name for p in finished.iterdir()} == {
        "config.yaml", "environment.json", "catalog.parquet", "metrics.jsonl", "checkpoints",
        "backbone",
    }  # fmt: skip
    lines = read_metrics(finished / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 7))
    assert set(lines[0]) == {
        "step", "epoch", "lr", "loss", "loss_minus_chance", "top1", "top5", "positive", "negative",
        "queue_age", "spread", "effective_rank", "alignment", "uniformity", *TIMING_KEYS,
    }  # fmt: skip
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert lines[0]["lr"] == pytest.approx(0.12 * 8 / 256)
    assert lines[2]["epoch"] == 3 / 8  # 18 videos are 2 batches of 8, and 4 passes an epoch
    model = timm.create_model(f"local-dir:{finished / 'backbone'}", pretrained=True).eval()
    state = load_checkpoint(list_checkpoints(finished / "checkpoints")[-1])["method"]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[f"encoder_q.0.{name}"])
    config = json.loads((finished / "backbone" / "config.json").read_text())
    assert config["vidmoco"]["num_videos"] == 18
    assert (finished.parent / "runs" / "latest").resolve() == finished.resolve()
    assert json.loads((finished / "environment.json").read_text())["packages"]["torch"]


def test_the_saved_config_is_a_recipe_that_reproduces_the_run(finished, tmp_path):
    config = load_recipe(str(finished / "config.yaml"))
    assert config.backbone.name == "resnet10t"
    words = [
        "pretrain",
        "--recipe",
        str(finished / "config.yaml"),
        "--run",
        str(tmp_path / "again"),
    ]
    assert main(words) == 0
    assert numbers(tmp_path / "again") == numbers(finished)


def test_a_signal_in_the_last_step_stops_nothing(finished, videos, tmp_path):
    with signal_in(6):
        assert pretrain(videos, tmp_path / "run") == 0
    assert numbers(tmp_path / "run") == numbers(finished)


@pytest.mark.parametrize("stop_after", [1, 3])
def test_stopped_and_resumed_is_the_same_run(finished, videos, tmp_path, stop_after):
    with signal_in(stop_after):
        assert pretrain(videos, tmp_path / "run", "--engine.log-every", "2") == 143
    checkpoints = list_checkpoints(tmp_path / "run" / "checkpoints")
    assert [load_checkpoint(path)["step"] for path in checkpoints] == [stop_after]
    assert main(["pretrain", "--resume"]) == 0  # runs/latest, its own settings
    whole = [line["loss"] for line in numbers(finished)]
    means = [sum(whole[i : i + 2]) / 2 for i in range(0, 6, 2)]
    assert [line["loss"] for line in numbers(tmp_path / "run")] == means
    ours, theirs = (
        load_checkpoint(list_checkpoints(run / "checkpoints")[-1])["method"]
        for run in (tmp_path / "run", finished)
    )
    assert all(
        torch.equal(ours[name], theirs[name]) for name in theirs
    )  # queue and key encoder too


def test_sigterm_from_outside_with_workers(finished, videos, tmp_path):
    """A real process with decoding workers, terminated like a batch system does it."""
    words = ["-m", "vidmoco", "pretrain", str(videos), *TINY, "--data.workers", "2"]
    process = Process([*words, "--run", str(tmp_path / "run"), "--steps", "6"])
    metrics = tmp_path / "run" / "metrics.jsonl"
    until(
        lambda: (
            process.poll() is not None
            or (metrics.is_file() and metrics.read_text().count("\n") >= 2)
        )
    )
    process.send_signal(signal.SIGTERM)
    process.wait()
    error = process.err
    assert "Traceback" not in error
    assert process.returncode in (0, 143)  # it may have been through already
    if process.returncode == 143:
        assert "--resume" in error
        assert main(["pretrain", "--run", str(tmp_path / "run"), "--resume"]) == 0
    assert numbers(tmp_path / "run") == numbers(finished)


def test_a_closed_terminal_leaves_a_checkpoint(videos, tmp_path):
    """A terminal that is closed while a training prints to it, as a window or a connection is."""
    words = ["-m", "vidmoco", "pretrain", str(videos), *TINY, "--data.workers", "1"]
    words += ["--run", str(tmp_path / "run"), "--steps", "100000"]
    metrics = tmp_path / "run" / "metrics.jsonl"
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, which may have begun these tests
        os.execv(sys.executable, [sys.executable, *words])
    reading = threading.Thread(target=_read_all, args=(terminal,), daemon=True)
    reading.start()
    until(lambda: not reading.is_alive() or (metrics.is_file() and metrics.stat().st_size))
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 129
    (path,) = list_checkpoints(tmp_path / "run" / "checkpoints")
    assert load_checkpoint(path)["step"] == len(numbers(tmp_path / "run"))
    assert (tmp_path / "run" / "backbone" / "model.safetensors").is_file()
    assert not (tmp_path / "run" / "quarantine.jsonl").exists()


def _read_all(terminal):
    with suppress(OSError):  # it is closed
        while os.read(terminal, 65536):
            pass


def build_crashing_worker(*args):
    read = build_pair_worker(*args)

    def read_or_die(job):
        if job.video.key.startswith("01"):
            os.kill(os.getpid(), signal.SIGSEGV)
        return read(job)

    return read_or_die


def test_a_video_that_kills_its_decoder_costs_itself(videos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loader, "build_pair_worker", build_crashing_worker)
    words = ["--data.workers", "1"]
    assert pretrain(videos, tmp_path / "run", *words) == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "1 of the videos could not be read and were replaced:" in error
    assert "'01.mp4': its decoder crashed (SIGSEGV)" in error
    (line,) = (tmp_path / "run" / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["key"] == "01.mp4"


def test_resume_after_a_kill_drops_what_came_after_the_checkpoint(finished, videos, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    for path in list_checkpoints(tmp_path / "run" / "checkpoints"):
        path.unlink()  # as if killed before the first
    assert main(["pretrain", "--run", str(tmp_path / "run"), "--resume"]) == 0
    assert numbers(tmp_path / "run") == numbers(finished)


def test_pairs_and_the_single_frame_control_differ(finished, videos, tmp_path):
    assert pretrain(videos, tmp_path / "run", "--data.single-frame") == 0
    assert numbers(tmp_path / "run") != numbers(finished)


def test_accumulation_is_not_more_steps(finished, videos, tmp_path):
    words = ["--optim.accumulate", "2", "--method.bn-splits", "1"]
    assert pretrain(videos, tmp_path / "halves", *words) == 0
    for ours, theirs in zip(numbers(tmp_path / "halves"), numbers(finished), strict=True):
        assert [ours[key] for key in ("step", "epoch", "lr")] == [
            theirs[key] for key in ("step", "epoch", "lr")
        ]
        assert ours["loss"] > 0


def test_the_step_of_micro_batches_is_the_step_of_the_batch(monkeypatch):
    # It imports the compiler, which takes 5 s, and is of use on a GPU alone.
    monkeypatch.delattr(torch.compiler, "cudagraph_mark_step_begin")
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    config = MoCoConfig(dim=4, queue_size=8, bn_splits=1)
    whole = build_method(config, backbone, Inputs(num_features=4))
    halves = copy.deepcopy(whole)
    views = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    for method, num_parts in ((whole, 1), (halves, 2)):
        optimizer = torch.optim.SGD(method.encoder_q.parameters(), lr=0.5)
        training_step.train_step(
            method,
            optimizer,
            views,
            source_ids=torch.arange(4),
            times=torch.zeros(4, 2, dtype=torch.float64),
            progress=0.0,
            num_parts=num_parts,
            clip_gradient=None,
            cast=autocast(torch.device("cpu"), "fp32"),
        )
    for a, b in zip(whole.parameters(), halves.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_good_checkpoint(
    videos, tmp_path, capsys, monkeypatch
):
    assert pretrain(videos, tmp_path / "run", "--engine.checkpoint-minutes", "0", steps=2) == 0
    good = list_checkpoints(tmp_path / "run" / "checkpoints")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("steps: 2", "steps: 5"))
    step = pretrain_module.augmented_views

    poisoned_steps = []

    def poisoned(*args):
        poisoned_steps.append(1)
        return [view * float("nan") for view in step(*args)]

    monkeypatch.setattr(pretrain_module, "augmented_views", poisoned)
    words = ["pretrain", "--run", str(tmp_path / "run"), "--resume", "--engine.log-every", "9"]
    words += ["--engine.checkpoint-minutes", "9"]
    assert main(words) == 2
    assert len(poisoned_steps) == 1  # at once, not at the next line of metrics
    error = capsys.readouterr().err
    assert "The loss is nan" in error
    assert "--optim.lr" in error
    assert list_checkpoints(tmp_path / "run" / "checkpoints") == good
    state = load_checkpoint(good[-1])["method"]
    assert all(torch.isfinite(t).all() for t in state.values() if t.is_floating_point())


def test_a_video_that_breaks_while_training_is_listed_at_the_end(videos, tmp_path, capsys):
    copy = tmp_path / "videos"
    shutil.copytree(videos, copy)
    (copy / "text.mp4").write_text("no video")
    catalog = tmp_path / "catalog.parquet"  # is not brought up to date
    assert main(["scan", str(copy), "-o", str(catalog)]) == 0
    stat = (copy / "03.mp4").stat()
    data = bytearray((copy / "03.mp4").read_bytes())
    data[len(data) // 4 :] = b"\0" * len(data[len(data) // 4 :])
    (copy / "03.mp4").write_bytes(data)
    os.utime(copy / "03.mp4", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    capsys.readouterr()
    assert pretrain(catalog, tmp_path / "run") == 0
    error = capsys.readouterr().err
    assert "1 of the videos could not be read and were replaced" in error
    assert "'03.mp4'" in error
    assert "text.mp4" in error


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["none/"], ["none", "No such"]),
        (["empty/"], ["empty"]),
        (["text.mp4"], ["can be read"]),
        (["VIDEOS", "--data.batch-size", "7"], ["--data.batch-size is 7", "multiple"]),
        (
            ["VIDEOS", "--augment.size", "16", "--precision", "bf16"],
            ["16 px", "layer4", "bf16", "fp32"],
        ),
        (["VIDEOS", "--engine.device", "cuda:9"], ["cuda:9", "is not here"]),
        (["VIDEOS", "--run", "full"], ["full is not empty", "--resume"]),
        (["VIDEOS", "--run", "/proc/x/run"], ["Cannot write to /proc/x/run"]),
        (["VIDEOS", "--backbone.name", "resnet19"], ["'resnet19'", "Did you mean"]),
        (["VIDEOS", "--recipe", "moco_v9"], ["'moco_v9'", "Did you mean"]),
        (["--run", "full", "--resume"], ["no run to resume at full"]),
        ([], ["No videos given"]),
    ],
)
def test_bad_input_is_one_clear_line(videos, tmp_path, capsys, words, expected):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    base = TINY if "--recipe" not in words and "--resume" not in words else []
    given = [str(videos) if word == "VIDEOS" else word for word in words]
    assert main(["pretrain", *base, "--steps", "2", "--run", "run", *given]) == 2
    error = capsys.readouterr().err
    for part in expected:
        assert part in " ".join(error.split())
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_resume_with_other_settings_is_refused_by_name(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "run")
    words = ["pretrain", "--run", str(tmp_path / "run"), "--resume"]
    assert main([*words, "--backbone.name", "resnet18", "--optim.lr", "1"]) == 2
    error = capsys.readouterr().err
    assert "backbone.name: 'resnet10t' and 'resnet18'" in error
    assert "optim.lr: 0.12 and 1.0" in error
    assert main([*words, "--data.workers", "1"]) == 0


def test_a_checkpoint_of_another_architecture_is_refused(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("resnet10t", "resnet18"))
    assert main(["pretrain", "--run", str(tmp_path / "run"), "--resume"]) == 2
    error = capsys.readouterr().err
    assert "backbone.name: 'resnet10t' and 'resnet18'. Restore them in" in error
    (path,) = list_checkpoints(tmp_path / "run" / "checkpoints")[-1:]
    torch.save({k: v for k, v in load_checkpoint(path).items() if k != "settings"}, path)
    assert main(["pretrain", "--run", str(tmp_path / "run"), "--resume"]) == 2
    assert "another architecture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        ("optim:\n  name: sgd", "optim:\n  name: adamw"),
        ("seed: 0\nepochs: 1", "seed: 1\nepochs: 1"),
        ("batch_size: 8", "batch_size: 6"),
    ],
)
def test_an_edited_config_is_compared_with_the_checkpoint(finished, tmp_path, capsys, line, edited):
    shutil.copytree(finished, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    text = config.read_text()
    assert text.count(line) == 1
    config.write_text(text.replace(line, edited))
    resume = ["pretrain", "--run", str(tmp_path / "run"), "--resume"]
    assert main(resume) == 2
    error = capsys.readouterr().err
    assert f"Restore them in {config}, or start a new run." in error
    assert edited.split()[1] in error and "Traceback" not in error
    config.write_text(text.replace("log_every: 1", "log_every: 2"))
    assert main([*resume, "--steps", "7"]) == 0
    error = capsys.readouterr().err
    assert "Settings that differ from the checkpoint's: engine.log_every: 1 and 2" in error
    assert "now takes 7 steps in place of 6" in error


def test_a_queue_that_is_large_for_the_videos_is_said_with_numbers(videos, tmp_path, capsys):
    assert pretrain(videos, tmp_path / "run", steps=1) == 0
    error = capsys.readouterr().err
    assert "The queue holds 40 keys of 18 videos, so about 2.2 of" in error
    assert "--method.same-video masked" in error
    assert pretrain(videos, tmp_path / "more", "--method.same-video", "masked", steps=1) == 0
    assert "The queue holds" not in capsys.readouterr().err


def test_a_collapse_is_said_once(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pretrain_module, "LEAST_STEPS", 1)
    flat = {"spread": 0.01, "effective_rank": 1.2, "alignment": 0.0, "uniformity": 0.0}
    monkeypatch.setattr(pretrain_module, "describe_embeddings", lambda *embeddings: flat)
    assert pretrain(videos, tmp_path / "run", steps=4) == 0
    assert capsys.readouterr().err.count("The embeddings have collapsed") == 1


def test_a_training_starts_from_the_weights_of_a_run(finished, videos, tmp_path, capsys):
    words = ["--backbone.weights", str(finished), "--optim.lr", "1e-9", "--precision", "fp32"]
    words += ["--optim.layer-decay", "0.5"]
    assert pretrain(videos, tmp_path / "warm", *words, steps=1) == 0
    assert f"starts from the weights of {finished}" in "".join(capsys.readouterr().err.split("\n"))
    ours, theirs = (
        timm.create_model(f"local-dir:{run / 'backbone'}", pretrained=True)
        for run in (tmp_path / "warm", finished)
    )
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    capsys.readouterr()
    words = ["--backbone.name", "resnet18", "--backbone.weights", str(finished)]
    assert pretrain(videos, tmp_path / "cold", *words) == 2
    error = capsys.readouterr().err
    assert "are of a resnet10t, and --backbone.name is resnet18: missing" in error
    assert len([line for line in error.splitlines() if line.startswith("vidmoco:")]) == 1
    assert not (tmp_path / "cold").exists()
