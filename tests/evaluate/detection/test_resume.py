from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from vidmoco.checkpoint import save_checkpoint
from vidmoco.config.detection import DetectionCommand
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.evaluate.detection.resume import clear_start, load_transfer, save_transfer


@pytest.fixture
def settings(tmp_path):
    return DetectionCommand(backbone="resnet18", train=("a:b",), val="a:c", run=tmp_path / "run")


def parts(seed):
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.rand(4, 3)).sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer}


KNOWN = {"classes": ("disc", "square"), "weights_hash": "ab"}


def test_what_is_saved_is_loaded(settings):
    saved, loaded = parts(0), parts(1)
    save_transfer(settings, step=5, **saved, **KNOWN)
    lines = [f'{{"step": {step}}}\n' for step in (4, 5, 6)]
    (settings.run / "metrics.jsonl").write_text("".join(lines))
    free = replace(settings, resume=True, device="cpu", log_every=3)
    assert load_transfer(free, **loaded, **KNOWN) == 5
    assert torch.equal(loaded["model"].weight, saved["model"].weight)
    momenta = [
        one["optimizer"].state_dict()["state"][0]["momentum_buffer"] for one in (saved, loaded)
    ]
    assert torch.equal(*momenta)
    # What was written after the checkpoint is written again.
    assert (settings.run / "metrics.jsonl").read_text() == "".join(lines[:2])


def test_only_the_newest_is_kept(settings):
    for step in (3, 7):
        save_transfer(settings, step=step, **parts(step), **KNOWN)
    assert [path.name for path in (settings.run / "checkpoints").iterdir()] == ["step_00000007.pt"]


def test_another_transfer_is_refused(settings):
    save_transfer(settings, step=5, **parts(0), **KNOWN)
    with pytest.raises(ConfigError, match=r"other settings: --lr \(was 0.02\)\. Give"):
        load_transfer(replace(settings, lr=0.1), **parts(0), **KNOWN)
    with pytest.raises(CheckpointError, match="other classes"):
        load_transfer(settings, **parts(0), **(KNOWN | {"classes": ("disc",)}))
    with pytest.raises(CheckpointError, match="other weights"):
        load_transfer(settings, **parts(0), **(KNOWN | {"weights_hash": "cd"}))
    with pytest.raises(ConfigError, match=r"no checkpoint in .* Leave out --resume to begin"):
        load_transfer(replace(settings, run=Path("nowhere")), **parts(0), **KNOWN)


def test_a_checkpoint_of_something_else(settings):
    save_checkpoint(settings.run / "checkpoints", step=1, state={"step": 1}, keep=1)
    with pytest.raises(CheckpointError, match="not a checkpoint of a detection transfer"):
        load_transfer(settings, **parts(0), **KNOWN)


def test_a_folder_is_cleared_of_what_was_left_before_a_checkpoint(tmp_path):
    for name in ("environment.json", "metrics.jsonl", "environment.json.ab.part", ".vidmoco.lock"):
        (tmp_path / name).touch()
    (tmp_path / "checkpoints").mkdir()
    clear_start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".vidmoco.lock"]


@pytest.mark.parametrize("name", ["config.yaml", "notes.txt", "checkpoints/step_00000001.pt"])
def test_a_folder_of_something_else_stays(tmp_path, name):
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(ConfigError, match="is not empty"):
        clear_start(tmp_path)
    assert (tmp_path / name).exists()
    assert (tmp_path / "metrics.jsonl").exists()
