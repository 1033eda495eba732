import math

import pytest
import torch
from torch.nn.functional import normalize

from vidmoco.train.collapse import collapse_of
from vidmoco.train.diagnostics import describe_embeddings


def test_random_directions_are_none():
    torch.manual_seed(0)
    query, positive = (normalize(torch.randn(40, 8), dim=1) for _ in range(2))
    assert collapse_of(describe_embeddings(query, positive), most_rank=8) == ""


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_collapse_is_said_in_words(noise):
    torch.manual_seed(0)
    query = normalize(torch.ones(20, 8) + noise * torch.randn(20, 8), dim=1)
    found = describe_embeddings(query, query)
    assert found["spread"] < 0.05
    assert found["effective_rank"] < 1.5
    assert all(math.isfinite(value) for value in found.values())
    assert "have collapsed" in collapse_of(found, most_rank=8)
    assert "--optim.lr" in collapse_of(found, most_rank=8)


def test_few_directions_are_a_collapse_too():
    query = torch.eye(8)[[0, 1] * 10]
    assert "effective rank 2.0" in collapse_of(describe_embeddings(query, query), most_rank=8)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_embeddings_in_as_many_directions_are_none(n):
    described = describe_embeddings(torch.eye(8)[:n], torch.eye(8)[:n])
    assert collapse_of(described, most_rank=n) == ""
    one_point = torch.eye(8)[[0] * n]
    assert collapse_of(describe_embeddings(one_point, one_point), most_rank=n)
