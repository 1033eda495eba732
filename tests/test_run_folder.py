"""A run whose files find no room: it stops with one line, and goes on from what is there."""

from pathlib import Path

import pytest
import torch
from full_disk import no_file_larger_than
from painted_videos import write_video

from vidmoco import run_folder
from vidmoco.backbones import build as backbones
from vidmoco.checkpoint import list_checkpoints, load_checkpoint
from vidmoco.cli.main import main
from vidmoco.json_lines import read_metrics

TINY = [
    "--recipe", "tiny_cpu", "--backbone.name", "resnet10t", "--data.batch-size", "4",
    "--method.bn-splits", "2", "--method.queue-size", "8", "--augment.size", "32",
    "--data.short-side", "32", "--engine.log-every", "1", "--data.workers", "0",
    "--optim.warmup-epochs", "0", "--engine.checkpoint-minutes", "0.000001", "--steps", "4",
]  # fmt: skip


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number in range(4):
        write_video(folder / f"{number}.mp4", num_frames=6, first_index=100 * number)
    return folder


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def without_room_at(monkeypatch, place, name, *, call):
    """Let the ``call``-th call of a function write into files of 20 kB at most."""
    calls = []
    original = getattr(place, name)

    def limited(*args, **options):
        calls.append(name)
        with no_file_larger_than(20_000 if len(calls) == call else 2**40):
            return original(*args, **options)

    monkeypatch.setattr(place, name, limited)


def last_line(capsys):
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err.splitlines()[-1]


def test_the_checkpoint_before_is_whole_and_goes_on(videos, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        without_room_at(patch, torch, "save", call=3)
        assert main(["pretrain", str(videos), *TINY, "--run", "run"]) == 2
    assert last_line(capsys) == (
        "vidmoco: run/checkpoints/step_00000003.pt cannot be written: File too large. Raise the "
        "limit of the size of a file (ulimit -f), then resume from the last checkpoint with --run "
        "run --resume."
    )
    run = Path("run")
    saved = list_checkpoints(run / "checkpoints")
    assert [load_checkpoint(path)["step"] for path in saved] == [1, 2]
    assert not list(run.rglob("*.part"))
    assert main(["pretrain", "--run", "run", "--resume"]) == 0
    assert [line["step"] for line in read_metrics(run / "metrics.jsonl")] == [1, 2, 3, 4]


def test_a_backbone_without_room_is_made_by_the_resume(videos, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        without_room_at(patch, backbones, "save_for_hf", call=2)  # after the trial
        assert main(["pretrain", str(videos), *TINY, "--run", "run"]) == 2
    line = last_line(capsys)
    assert "run/backbone cannot be written: File too large" in line and "--resume" in line
    run = Path("run")
    assert not (run / "backbone").exists() and not list(run.rglob("*.part"))
    assert main(["pretrain", "--run", "run", "--resume"]) == 0
    assert (run / "backbone" / "model.safetensors").is_file()


def test_where_the_first_files_find_no_room_the_same_command_begins_again(
    videos, monkeypatch, capsys
):
    def full(path, **options):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_environment", full)
        assert main(["pretrain", str(videos), *TINY, "--run", "run"]) == 2
    line = last_line(capsys)
    assert "run cannot be written: No space left on device. Make room there and give the" in line
    assert not Path("run").exists()
    assert main(["pretrain", str(videos), *TINY, "--run", "run"]) == 0


def test_a_link_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "runs").write_text("")
    reason = run_folder.point_latest_at(tmp_path / "run")
    assert reason.startswith("runs/latest does not lead to this run: ")


def test_what_a_library_writes_by_itself_is_told_too(tmp_path, monkeypatch, capsys):
    def full(command):
        raise OSError(28, "", "clip.mp4")

    monkeypatch.setattr("vidmoco.cli.doctor.doctor", full)
    assert main(["doctor"]) == 2
    assert last_line(capsys).startswith("vidmoco: clip.mp4 cannot be written: No space left")

    def export(command):
        with no_file_larger_than(1000):
            torch.save({"x": torch.ones(1000)}, command.output)

    monkeypatch.setattr("vidmoco.backbones.export_file.export_file", export)
    assert main(["export", "random:resnet10t", "--to", "moco", "-o", "m.pt"]) == 2
    assert "m.pt cannot be written: " in last_line(capsys)


def test_a_training_that_fails_before_it_has_anything_leaves_the_name_free(
    videos, monkeypatch, capsys
):
    def fails(*args, **options):
        raise MemoryError("of the device")

    with monkeypatch.context() as patch:
        patch.setattr("vidmoco.train.pretrain.train_step", fails)
        assert main(["pretrain", str(videos), *TINY, "--run", "run"]) == 2
    assert "more memory than cpu has left" in last_line(capsys)
    assert not Path("run").exists()
    assert main(["pretrain", str(videos), *TINY, "--run", "run", "--steps", "1"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr("vidmoco.train.pretrain.train_step", fails)
        assert main(["pretrain", "--run", "run", "--resume", "--steps", "2"]) == 2
    assert len(read_metrics(Path("run/metrics.jsonl"))) == 1


def test_a_damaged_log_does_not_cost_the_run(videos, capsys):
    assert main(["pretrain", str(videos), *TINY, "--run", "run"]) == 0
    metrics = Path("run/metrics.jsonl")
    lines = metrics.read_bytes().splitlines(keepends=True)
    metrics.write_bytes(lines[0] + bytes(512) + b"\n\xff\n" + b"".join(lines[2:]))
    Path("run/extensions.jsonl").write_bytes(b'{"step": 1}\nfoo\n')
    capsys.readouterr()
    assert main(["pretrain", "--run", "run", "--resume", "--steps", "5"]) == 0
    err = capsys.readouterr().err
    assert "run/metrics.jsonl is damaged: 2 lines of it are left out" in err
    assert [line["step"] for line in read_metrics(metrics)] == [1, 3, 4, 5]


def test_advice_names_a_folder_as_a_shell_reads_it():
    assert "--run 'my run' --resume" in run_folder.resume_advice(Path("my run"))


def test_a_training_takes_its_loggers_files_away_too(tmp_path):
    """Else a start anew would go on in the loggers of the one that failed."""
    run = tmp_path / "run"
    for name in ("wandb/offline-run-1", "tensorboard"):
        (run / name).mkdir(parents=True)
    for name in ("config.yaml", "loggers.json", "pairs.png"):
        (run / name).write_text("")
    run_folder.clear_start(run)
    assert not any(run.iterdir())


@pytest.mark.parametrize("words", [["pretrain", "v", "--run"], ["scan", "v", "-o"]])
def test_a_name_that_no_library_opens_again_is_refused(words, videos, capsys):
    words = [str(videos) if word == "v" else word for word in words]
    assert main([*words, "ru\udce9"]) == 2
    assert "The name ru\\udce9 is not valid UTF-8. Give another -" in capsys.readouterr().err
