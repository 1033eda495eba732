import threading

import pytest
import torch
from full_disk import no_file_larger_than

from vidmoco.checkpoint import list_checkpoints, load_checkpoint
from vidmoco.errors import ConfigError
from vidmoco.train import checkpoint_writer
from vidmoco.train.checkpoint_writer import CheckpointWriter, copy_to_cpu


def test_the_state_is_that_of_the_call_and_the_call_does_not_wait(tmp_path, monkeypatch):
    go, save = threading.Event(), checkpoint_writer.save_checkpoint

    def save_later(*args, **options):
        go.wait()
        return save(*args, **options)

    monkeypatch.setattr(checkpoint_writer, "save_checkpoint", save_later)
    writer = CheckpointWriter(tmp_path, keep=2)
    weights, groups = torch.ones(3), [{"lr": 1.0, "params": [0]}]
    writer.write(1, {"step": 1, "weights": weights, "groups": groups})
    assert not list_checkpoints(tmp_path)  # it is not written, and the training goes on
    writer.check()
    weights += 1
    groups[0]["lr"] = 2.0
    go.set()
    writer.wait()
    writer.close()
    state = load_checkpoint(*list_checkpoints(tmp_path))
    assert state["weights"].tolist() == [1, 1, 1] and state["groups"][0]["lr"] == 1.0


def test_one_is_written_after_the_other(tmp_path):
    writer = CheckpointWriter(tmp_path, keep=2)
    for step in range(1, 6):
        writer.write(step, {"step": step})
        assert all(load_checkpoint(path)["step"] < step + 1 for path in list_checkpoints(tmp_path))
    writer.close()
    assert [load_checkpoint(path)["step"] for path in list_checkpoints(tmp_path)] == [4, 5]


def test_what_could_not_be_written_is_an_error_of_the_training(tmp_path):
    writer = CheckpointWriter(tmp_path / "run", keep=2)
    state = {"step": 1, "x": torch.ones(10_000)}
    with no_file_larger_than(4096):
        writer.write(1, state)
        with pytest.raises(ConfigError, match="too large"):
            writer.wait()
        writer.write(1, state)
        writer.close()
    with pytest.raises(ConfigError, match=r"too large.*--resume"):
        writer.check()
    writer.check()  # it has been told
    assert not list_checkpoints(tmp_path / "run")


def test_the_layout_of_tensors_stays():
    image = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
    copy = copy_to_cpu({"a": [image, (image, "b", None)]})
    assert copy["a"][0].stride() == image.stride()
    assert copy["a"][0].data_ptr() != image.data_ptr()
    assert copy["a"][1][1:] == ("b", None)
