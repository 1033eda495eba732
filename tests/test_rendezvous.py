"""Processes of a job that is started again in the store of its earlier starts."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch.distributed as dist

from vidmoco import rendezvous
from vidmoco.errors import TrainingError
from vidmoco.rendezvous import _hear_name, _name_start


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
