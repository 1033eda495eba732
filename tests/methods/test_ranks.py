"""Two processes of N samples compute what one computes of 2 N: every method, on gloo."""

from pathlib import Path

import numpy as np
import pytest
import torch
from child_processes import launch
from method_material import built, normed_backbone, run, sgd_step, tiny_backbone, views

from vidmoco import distributed
from vidmoco.config.methods import (
    EndToEndConfig,
    FastMoCoConfig,
    MemoryBankConfig,
    MoCoConfig,
    MoCoV3Config,
    SimCLRConfig,
)
from vidmoco.methods.normalization import sync_batch_norm

NORMED = {"dim": 5, "hidden_dim": 12, "tau": 0.3, "momentum": 0.9}
IDS = torch.tensor([4, 0, 3, 8, 1, 6, 2, 7])
TIMES = torch.arange(16.0, dtype=torch.float64).view(8, 2)


def build(name, world):
    """A method; MoCo on one process has the parts that the batch norms of two processes have."""
    queue = {"dim": 5, "queue_size": 20, "momentum": 0.9, "bn_splits": 2 // world}
    masked = {"symmetric": True, "same_video": "masked", "bn_splits": 4 // world}
    bank = {"dim": 5, "num_negatives": 6}
    config, inputs = {
        "moco": (MoCoConfig(**queue), {}),
        "moco, symmetric, masked": (MoCoConfig(**queue | masked), {}),
        "moco, three frames": (MoCoConfig(**queue, batch_negatives=True), {"large_views": 3}),
        "moco, three frames, symmetric": (
            MoCoConfig(**queue | {"queue_size": 30}, symmetric=True), {"large_views": 3},
        ),
        "moco_v3": (MoCoV3Config(**NORMED), {}),
        "fast_moco": (FastMoCoConfig(**NORMED, predictor_hidden_dim=8), {}),
        "fast_moco, four frames": (
            FastMoCoConfig(**NORMED, predictor_hidden_dim=8), {"large_views": 4},
        ),
        "simclr": (SimCLRConfig(dim=5, tau=0.3), {}),
        "end_to_end": (EndToEndConfig(dim=5, tau=0.3, bn_splits=2 // world), {}),
        "memory_bank nce": (MemoryBankConfig(**bank, loss="nce"), {}),
        "memory_bank softmax": (MemoryBankConfig(**bank, loss="softmax"), {}),
        "memory_bank info_nce": (MemoryBankConfig(**bank, loss="info_nce"), {}),
    }[name]  # fmt: skip
    backbone = tiny_backbone() if "bank" in name else normed_backbone()
    return built(config, backbone, durations=np.ones(9), **inputs)


NAMES = [
    "moco", "moco, symmetric, masked", "moco, three frames", "moco_v3", "fast_moco",
    "moco, three frames, symmetric", "fast_moco, four frames",
    "simclr", "end_to_end",
    "memory_bank nce", "memory_bank softmax", "memory_bank info_nce",
]  # fmt: skip


def three_steps(name):
    """Losses, all gradients and all state, of this process's share of eight samples."""
    world, rank = distributed.world_size(), distributed.rank()
    method = build(name, world).double()
    if method.syncs_batch_norm:
        method = sync_batch_norm(method)
    own = slice(8 // world * rank, 8 // world * (rank + 1))
    found = {"losses": [], "gradients": []}
    large = getattr(method, "large_views", 0) or 2
    for step in range(3):
        mine = [view[own].double() for view in views(step, n=8, crops=1, large=large)]
        loss, _ = run(method, mine, ids=IDS[own], times=TIMES[own] + step)
        gradients = {}
        for n, p in method.named_parameters():
            if p.grad is not None:  # averaged, as DistributedDataParallel does
                p.grad.copy_(distributed.gather_rows(p.grad[None]).mean(0))
                gradients[n] = p.grad.clone()
        found["losses"].append(distributed.gather_rows(loss[None]).mean().item())
        found["gradients"].append(gradients)
        sgd_step(method.parameters())
    state = method.state_dict()
    found["state"] = {
        n: value
        for n, value in state.items()
        # Statistics of a batch norm of its own differ from process to process, as they should.
        if "running" not in n
        and "num_batches" not in n
        # One process with one part shuffles nothing, and so draws nothing.
        and "random" not in n
    }
    return found


PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:3]
import torch
from vidmoco import distributed as d
from test_ranks import three_steps
torch.set_num_threads(1)
with d.processes_from_environment():
    for name in sys.argv[4:]:
        torch.save(three_steps(name), f"{sys.argv[3]}/{name} {d.rank()}.pt")
"""


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), str(folder)]
    launch(["-c", PROGRAM, *paths, *NAMES], world_size=2)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_ranks_of_n_are_one_of_2n(name, two_ranks):
    one = three_steps(name)
    for rank in range(2):
        other = torch.load(two_ranks / f"{name} {rank}.pt")
        assert other["losses"] == pytest.approx(one["losses"], rel=1e-5)
        for mine, theirs in zip(one["gradients"], other["gradients"], strict=True):
            assert mine.keys() == theirs.keys()
            for n in mine:
                torch.testing.assert_close(theirs[n], mine[n], rtol=1e-3, atol=1e-6)
        assert one["state"].keys() == other["state"].keys()
        for n in one["state"]:
            torch.testing.assert_close(other["state"][n], one["state"][n], rtol=1e-3, atol=1e-5)
