"""Processes of a job that is started again in the store of its earlier starts."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch.distributed as dist
from painted_videos import write_video

from vidmoco import rendezvous
from vidmoco.cli.main import main
from vidmoco.errors import ConfigError, TrainingError
from vidmoco.rendezvous import _hear_name, _name_start, has_others, meet, whole_number


def start(store, world_size):
    with ThreadPoolExecutor(world_size) as pool:
        first = pool.submit(_name_start, store, 0, world_size)
        others = [pool.submit(_hear_name, store, n, world_size) for n in range(1, world_size)]
        return {one.result() for one in (first, *others)}


def test_every_start_has_one_name_that_no_other_had():
    store = dist.HashStore()
    names = [start(store, world_size) for world_size in (3, 3, 2, 3)]
    assert [len(found) for found in names] == [1] * 4
    assert len(set.union(*names)) == 4


def test_what_a_killed_start_left_is_not_heard(monkeypatch):
    """Its hellos without an answer, or with an answer that nobody took."""
    store = dist.HashStore()
    monkeypatch.setattr(rendezvous, "SECONDS_TO_MEET", 0.0)
    for _ in range(2):
        with pytest.raises(TrainingError, match=r"Process 0 of 2 has not joined .* 0 s"):
            _hear_name(store, 1, 2)
    with pytest.raises(TrainingError, match="Process 1 of 2"):
        _name_start(store, 0, 2)
    monkeypatch.undo()
    (name,) = start(store, 2)
    assert store.check([f"{name}/met/1"])


LAUNCH = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"RANK": "x"}, "RANK is 'x'; it must be a whole number"),
        ({"RANK": "-1"}, "RANK is '-1'; it must be"),
        ({"RANK": ""}, "RANK is ''; it must be"),
        ({"RANK": "2"}, "RANK is 2, and WORLD_SIZE 2; ranks begin at 0"),
        ({"WORLD_SIZE": "y"}, "WORLD_SIZE is 'y'; it must be"),
        ({"MASTER_ADDR": ""}, "RANK is set, and MASTER_ADDR is not"),
        ({"MASTER_PORT": "abc"}, "MASTER_PORT is 'abc'; it must be"),
        ({"MASTER_PORT": "70000"}, "MASTER_PORT is 70000; ports are from 1 to 65535"),
    ],
)
def test_variables_that_no_launcher_has_set(changes, said, monkeypatch, tmp_path, capsys):
    for name, value in (LAUNCH | changes).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=said):
        has_others() and meet(timedelta(seconds=1))
    write_video(tmp_path / "a.mp4", num_frames=3)
    assert main(["pretrain", str(tmp_path), "--run", str(tmp_path / "r"), "--device", "cpu"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"vidmoco: {said}")


def test_who_is_beside_others(monkeypatch):
    for name in LAUNCH:
        monkeypatch.delenv(name, raising=False)
    assert not has_others() and whole_number("WORLD_SIZE", default="7") == 7
    for name, value in LAUNCH.items():
        monkeypatch.setenv(name, value)
    assert has_others() and whole_number("RANK") == 1
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not has_others()
