import pytest
import torch
from full_disk import no_file_larger_than
from torch import nn

from vidmoco import checkpoint
from vidmoco.checkpoint import list_checkpoints, load_checkpoint, load_matching, save_checkpoint
from vidmoco.errors import CheckpointError, ConfigError


def test_round_trip_keeps_the_newest(tmp_path):
    for step in (5, 40, 300):
        save_checkpoint(tmp_path, step=step, state={"step": step, "x": torch.ones(2)}, keep=2)
    paths = list_checkpoints(tmp_path)
    assert [load_checkpoint(path)["step"] for path in paths] == [40, 300]
    assert not list(tmp_path.glob("*.part"))


def test_another_process_may_delete_the_old_one_first(tmp_path, monkeypatch):
    """Two evaluations that fine-tune the same keep their epochs in one folder."""
    gone = tmp_path / "step_00000001.pt"
    found = checkpoint.list_checkpoints
    monkeypatch.setattr(checkpoint, "list_checkpoints", lambda folder: [gone, *found(folder)])
    path = save_checkpoint(tmp_path, step=2, state={"step": 2}, keep=1)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_ones_before(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, step=1, state={"step": 1}, keep=2)

    def full(state, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ConfigError, match=r"step_00000002.pt cannot .*No space.*--resume"):
        save_checkpoint(tmp_path, step=2, state={"step": 2}, keep=1)
    assert [load_checkpoint(path)["step"] for path in list_checkpoints(tmp_path)] == [1]
    assert len(list(tmp_path.iterdir())) == 1


def test_what_torch_says_of_a_full_disk_is_told_in_a_line(tmp_path):
    state = {"step": 2, "x": torch.ones(10_000)}
    with no_file_larger_than(4096), pytest.raises(ConfigError, match=r"^[^\n]*too large[^\n]*$"):
        save_checkpoint(tmp_path / "checkpoints", step=2, state=state, keep=1)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_what_a_killed_process_left_is_cleared(tmp_path):
    (tmp_path / "step_00000001.pt.7.part").write_bytes(b"half")
    path = save_checkpoint(tmp_path, step=2, state={"step": 2}, keep=1)
    assert list(tmp_path.iterdir()) == [path]


def test_damage_is_named(tmp_path):
    path = save_checkpoint(tmp_path, step=1, state={"step": 1, "x": torch.ones(100)}, keep=1)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(CheckpointError, match=f"{path}.*an earlier one"):
        load_checkpoint(path)


class Boom:
    def __reduce__(self):
        return (print, ("code ran",))


def test_pickled_code_is_refused(tmp_path, capsys):
    path = tmp_path / "step_00000001.pt"
    torch.save({"step": 1, "x": Boom()}, path)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    assert "code ran" not in capsys.readouterr().out


def test_another_file_of_torch_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "a.pt")


def test_another_architecture_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"another architecture.*weight"):
        load_matching(nn.Linear(2, 2), nn.Linear(3, 2).state_dict(), source=tmp_path / "x.pt")
