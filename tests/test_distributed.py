import json

import pytest
import torch
import torch.distributed as dist
from child_processes import launch
from hypothesis import given
from hypothesis import strategies as st

from vidmoco import distributed
from vidmoco.device import resolve_device
from vidmoco.errors import ConfigError

# What each of the processes does; run by torchrun's environment variables, as torchrun would.
PROGRAM = """
import json, torch, torch.distributed as dist
from vidmoco import distributed as d
with d.processes_from_environment() as device:
    mine = torch.arange(7.0)[list(d.shard(7))]
    rows = torch.stack([mine, -mine], dim=1)
    print(json.dumps({
        "device": str(device), "rank": d.rank(), "world": d.world_size(), "main": d.is_main(),
        "mine": mine.tolist(), "rows": d.gather_rows(rows).tolist(),
        "flags": d.gather_rows(mine > 2).tolist(),
        "none": list(d.gather_rows(torch.zeros(0 if d.is_main() else 2, 3)).shape),
        "objects": d.gather_objects([d.rank()] * 2),
    }))
print(json.dumps(dist.is_initialized()))
"""


def test_one_process_needs_nothing():
    rows = torch.arange(6.0).view(3, 2)
    with distributed.processes_from_environment(torch.device("cpu")) as device:
        assert device == torch.device("cpu")
        assert not dist.is_initialized()
        assert distributed.rank() == 0
        assert distributed.world_size() == distributed.local_world_size() == 1
        assert distributed.is_main()
        assert distributed.shard(5) == range(5)
        assert distributed.gather_rows(rows) is rows
        assert distributed.gather_objects("a") == ["a"]


def test_a_launch_of_one_process_joins_nothing(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with distributed.processes_from_environment() as device:
        assert device == torch.device("cpu")
        assert not dist.is_initialized()


def test_a_gpu_is_that_of_the_local_rank(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "3")
    for name, found in (("cuda", "cuda:3"), ("cuda:1", "cuda:1")):
        with distributed.processes_from_environment(torch.device(name)) as device:
            assert device == torch.device(found)


@pytest.mark.parametrize(
    ("environment", "count", "found"),
    [
        ({}, 8, "cuda:0"),
        ({"SLURM_LOCALID": "5"}, 8, "cuda:5"),  # srun --ntasks-per-node=8 --gpus-per-node=8
        ({"SLURM_LOCALID": "5"}, 1, "cuda:0"),  # --gpus-per-task=1
        ({"SLURM_LOCALID": "5", "LOCAL_RANK": "5"}, 1, "cuda:0"),
        ({"SLURM_LOCALID": "0", "LOCAL_RANK": "2"}, 4, "cuda:2"),  # torchrun in a batch script
    ],
)
def test_tasks_of_slurm_share_the_gpus(environment, count, found, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert distributed.own_gpu(torch.device("cuda")) == torch.device(found)
    assert distributed.own_gpu(torch.device("cpu")) == torch.device("cpu")


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("SLURM_LOCALID", "0")  # of a batch script, in which torchrun started three
    with pytest.raises(ConfigError, match=r"process 3 of its machine.* sees 2 CUDA devices"):
        distributed.own_gpu(torch.device("cuda"))


@pytest.mark.parametrize(
    ("device", "processes", "backend"),
    [
        ("cuda", "2", "cpu:gloo,cuda:nccl"),
        ("cuda:0", "2", "gloo"),  # NCCL takes no two processes of one GPU
        ("cuda:0", "1", "cpu:gloo,cuda:nccl"),
        ("cpu", "2", "gloo"),
    ],
)
def test_nccl_connects_gpus_and_gloo_the_rest(device, processes, backend, monkeypatch):
    asked = []
    monkeypatch.setattr(dist, "init_process_group", lambda name, **_: asked.append(name))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    ranks = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": processes}
    for name, value in ranks.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "meet", lambda timeout: (None, 1, 2, "start"))
    monkeypatch.setattr(distributed, "Heartbeat", lambda *_: None)
    # As a command does. A number that ``resolve_device`` gives would mean one GPU for all.
    with distributed.processes_from_environment(resolve_device(device)):
        assert asked == [backend]


@given(rows=st.integers(0, 40), world=st.integers(1, 9))
def test_shards_are_all_rows_in_order(rows, world):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "world_size", lambda: world)
        shards = []
        for rank in range(world):
            patch.setattr(distributed, "rank", lambda rank=rank: rank)
            shards.append(distributed.shard(rows))
    assert [row for shard in shards for row in shard] == list(range(rows))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_two_processes_gather_what_one_has():
    outputs = launch(["-c", PROGRAM], world_size=2)
    found = [json.loads(lines[0]) for lines in outputs]
    assert [one.pop("rank") for one in found] == [0, 1]
    assert [one.pop("main") for one in found] == [True, False]
    assert [one.pop("mine") for one in found] == [[0, 1, 2], [3, 4, 5, 6]]
    for one in found:
        assert one == {
            "device": "cpu",
            "world": 2,
            "rows": [[i, -i] for i in range(7)],
            "flags": [False] * 3 + [True] * 4,
            "none": [2, 3],
            "objects": [[0, 0], [1, 1]],
        }
    assert [json.loads(lines[1]) for lines in outputs] == [False, False]  # the group is left again
