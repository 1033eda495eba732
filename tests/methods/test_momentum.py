import pytest
import torch
from torch import nn

from vidmoco.methods.momentum import momentum_at, update_momentum


def test_update_is_equation_2_on_parameters_and_leaves_buffers():
    torch.manual_seed(0)
    query = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    key = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    query[1].running_mean.fill_(5)
    expected = [
        0.9 * k + 0.1 * q for k, q in zip(key.parameters(), query.parameters(), strict=True)
    ]
    update_momentum(key, query, m=0.9)
    for got, want in zip(key.parameters(), expected, strict=True):
        torch.testing.assert_close(got, want)
    assert (key[1].running_mean == 0).all()
    assert all(p.grad_fn is None for p in key.parameters())


def test_ends_of_the_range():
    for m in (0.0, 1.0):
        query, key = nn.Linear(2, 2), nn.Linear(2, 2)
        before = key.weight.detach().clone()
        update_momentum(key, query, m=m)
        assert torch.equal(key.weight, before if m == 1 else query.weight)


def test_the_cosine_runs_from_m_to_one():
    found = [momentum_at(p, m=0.99, schedule="cosine") for p in (0, 0.5, 1)]
    assert found == pytest.approx([0.99, 0.995, 1])
    assert momentum_at(0.5, m=0.99, schedule="constant") == 0.99
