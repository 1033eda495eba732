"""How many workers fit into a cluster."""

from pathlib import Path

import pytest

from vidmoco.config.extract import ExtractCommand
from vidmoco.errors import ConfigError
from vidmoco.features.ray_resources import Share, share_of


def node(cpus, gpus=0, *, alive=True):
    resources = {"memory": 1.0, "CPU": float(cpus), "GPU": float(gpus)}
    return {"Alive": alive, "Resources": {k: v for k, v in resources.items() if v}}


def share(nodes, *, videos=1000, **flags):
    command = ExtractCommand(
        videos=(Path("v"),), output=Path("f"), engine="ray", **flags
    )  # fmt: skip
    return share_of(nodes, command, num_videos=videos)


@pytest.mark.parametrize(
    ("nodes", "flags", "expected"),
    [
        # CPUs alone: half of a worker's decode
        ([node(2)], {}, Share(1, 2, 0, 1)),
        ([node(2)], {"ray_workers": 2}, Share(2, 1, 0, 1)),
        ([node(1)], {}, Share(1, 1, 0, 1)),
        ([node(64)], {}, Share(16, 4, 0, 2)),
        ([node(8), node(3)], {}, Share(3, 3, 0, 1)),
        ([node(64)], {"workers": 8}, Share(8, 8, 0, 8)),
        ([node(64)], {"videos": 3}, Share(3, 4, 0, 2)),
        ([node(64), node(64, alive=False)], {"ray_workers": 2}, Share(2, 4, 0, 2)),
        # GPUs: a worker for each, and all of its CPUs decode
        ([node(32, 8), node(32, 8), node(8)], {}, Share(16, 4, 1, 4)),
        ([node(8, 4)], {}, Share(4, 2, 1, 2)),
        ([node(2, 4)], {}, Share(2, 1, 1, 1)),
        ([node(16, 1)], {"ray_gpus": 0.5}, Share(2, 4, 0.5, 4)),
        ([node(16, 1)], {"ray_gpus": 0.5, "workers": 3}, Share(2, 3, 0.5, 3)),
        ([node(16, 4)], {"device": "cpu"}, Share(4, 4, 0, 2)),
        ([node(16, 4)], {"ray_gpus": 0}, Share(4, 4, 0, 2)),
        ([node(16, 4)], {"ray_workers": 1}, Share(1, 4, 1, 4)),
    ],
)
def test_workers_of_a_cluster(nodes, flags, expected):
    assert share(nodes, **flags) == expected


@pytest.mark.parametrize(
    ("nodes", "flags", "said"),
    [
        ([node(0)], {}, "No node of the Ray cluster has a CPU"),
        ([node(8)], {"device": "cuda"}, "a CPU and GPUs for --ray-gpus 1"),
        ([node(8), node(2, 1)], {"ray_gpus": 2}, "GPUs for --ray-gpus 2"),
        ([node(8, alive=False)], {}, "has a CPU"),
        ([node(8)], {"workers": 9}, "has 9 CPUs for --workers 9"),
    ],
)
def test_a_cluster_without_room(nodes, flags, said):
    with pytest.raises(ConfigError, match=said):
        share(nodes, **flags)


def test_it_is_told():
    assert str(share([node(8, 2)], ray_gpus=0.5)) == "4 (CPUs of each: 2, GPUs of each: 0.5)"
    assert str(share([node(4)])) == "1 (CPUs of each: 4)"
