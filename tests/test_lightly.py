"""Where lightly has the same piece, both give the same."""

import copy

import pytest
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import MoCoProjectionHead
from lightly.models.utils import update_momentum as lightly_update
from torch.nn.functional import normalize

from vidmoco.methods.feature_queue import FeatureQueue
from vidmoco.methods.heads import build_batch_norm_mlp, build_projector
from vidmoco.methods.losses import info_nce, nt_xent
from vidmoco.methods.momentum import update_momentum


def drawn(seed, n=8, c=5):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, c, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("tau", [0.1, 0.5])
def test_nt_xent(tau):
    first, second = drawn(0)
    ours, theirs = (tuple(x.clone().requires_grad_() for x in (first, second)) for _ in range(2))
    loss, _ = nt_xent(*(normalize(x, dim=1) for x in ours), torch.arange(len(ours[0])), tau=tau)
    expected = NTXentLoss(temperature=tau)(*theirs)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_info_nce_and_the_queue():
    """Its bank drops what does not fit at its end, so the size is a multiple of the batch."""
    lightly = NTXentLoss(temperature=0.2, memory_bank_size=(24, 5))
    queue = FeatureQueue(24, 5)
    queue.keys.copy_(lightly.memory_bank.bank)
    for step in range(5):  # three fill it, and it begins again
        query, key = drawn(step)
        ours, theirs = query.clone().requires_grad_(), query.clone().requires_grad_()
        expected = lightly(theirs, key)
        negatives = queue.keys.clone()
        loss, _ = info_nce(normalize(ours, dim=1), normalize(key, dim=1), negatives, tau=0.2)
        queue.enqueue(normalize(key, dim=1), torch.zeros(8).long(), torch.zeros(8).double())
        loss.backward()
        expected.backward()
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(queue.keys, lightly.memory_bank.bank)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            lambda: build_projector("mlp", num_features=6, dim=4),
            lambda: MoCoProjectionHead(6, 6, 4),
        ),
        (
            lambda: build_batch_norm_mlp(6, 9, 4, num_layers=3, last_norm="plain", bias=False),
            lambda: MoCoProjectionHead(6, 9, 4, num_layers=3, batch_norm=True),
        ),
    ],
    ids=["v2", "v3"],
)
def test_heads(ours, theirs):
    ours, theirs = ours(), theirs()
    weights = theirs.layers.state_dict()  # v3: its last norm has a scale and a shift
    ours.load_state_dict({key: weights[key] for key in ours.state_dict()})
    (images, _), more = drawn(1, c=6), drawn(2, c=6)[0]
    for given in (images, more):
        torch.testing.assert_close(ours(given), theirs(given))
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_momentum_update():
    torch.manual_seed(0)
    query, key = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    theirs = copy.deepcopy(key)
    for _ in range(3):
        update_momentum(key, query, m=0.9)
        lightly_update(query, theirs, m=0.9)
    for a, b in zip(key.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)
