"""Two processes of N samples compute what one computes of 2 N: every method, on gloo."""

from pathlib import Path

import pytest
import torch
from child_processes import launch
from method_material import normed_backbone, run, sgd_step, tiny_backbone, views

from vidmoco import distributed
from vidmoco.methods.fast_moco import FastMoCo
from vidmoco.methods.memory_bank import MemoryBank
from vidmoco.methods.moco import MoCo
from vidmoco.methods.moco_v3 import MoCoV3
from vidmoco.methods.normalization import sync_batch_norm
from vidmoco.methods.simclr import EndToEnd, SimCLR

NORMED = {"num_features": 6, "dim": 5, "hidden_dim": 12, "tau": 0.3, "momentum": 0.9}
IDS = torch.tensor([4, 0, 3, 8, 1, 6, 2, 7])
TIMES = torch.arange(16.0, dtype=torch.float64).view(8, 2)


def build(name, world):
    """A method; MoCo on one process has the parts that the batch norms of two processes have."""
    torch.manual_seed(0)
    queue = {"num_features": 6, "dim": 5, "queue_size": 20, "momentum": 0.9}
    if name == "moco":
        return MoCo(normed_backbone(), **queue, bn_splits=2 // world)
    if name == "moco, symmetric, masked":
        options = dict(symmetric=True, same_video="masked", bn_splits=4 // world)
        return MoCo(normed_backbone(), **queue, **options)
    if name == "moco, three frames":
        options = dict(large_views=3, batch_negatives=True, bn_splits=2 // world)
        return MoCo(normed_backbone(), **queue, **options)
    if name == "moco, three frames, symmetric":
        options = dict(large_views=3, symmetric=True, bn_splits=2 // world)
        return MoCo(normed_backbone(), **queue | {"queue_size": 30}, **options)
    if name == "moco_v3":
        return MoCoV3(normed_backbone(), **NORMED)
    if name == "fast_moco, four frames":
        options = dict(predictor_hidden_dim=8, large_views=4)
        return FastMoCo(normed_backbone(), **NORMED, **options)
    if name == "fast_moco":
        options = dict(predictor_hidden_dim=8, merge="weighted_mean")
        return FastMoCo(normed_backbone(), **NORMED, **options)
    if name == "simclr":
        return SimCLR(normed_backbone(), num_features=6, dim=5, tau=0.3)
    if name == "end_to_end":
        return EndToEnd(normed_backbone(), num_features=6, dim=5, tau=0.3, bn_splits=2 // world)
    loss = name.removeprefix("memory_bank ")
    return MemoryBank(
        tiny_backbone(), num_features=6, num_instances=9, dim=5, num_negatives=6, loss=loss
    )


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
    if getattr(method, "SYNC_BATCH_NORM", False):
        method = sync_batch_norm(method)
    own = slice(8 // world * rank, 8 // world * (rank + 1))
    found = {"losses": [], "gradients": []}
    large = getattr(method, "large_views", 2)
    for step in range(3):
        mine = [view[own].double() for view in views(step, n=8, crops=1, large=large)]
        loss = torch.zeros(())
        for number in range(passes := getattr(method, "passes", 1)):
            more = {"pass_number": number} if passes > 1 else {}
            part, _ = run(method, mine, ids=IDS[own], times=TIMES[own] + step, **more)
            (part / passes).backward()
            loss = loss + part.detach() / passes
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
        if "running" not in n and "num_batches" not in n
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
