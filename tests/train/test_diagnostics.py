import math

import pytest
import torch
from torch.nn.functional import normalize

from vidmoco.train.diagnostics import collapse_of, describe_embeddings


def slow_uniformity(x):
    terms = [
        math.exp(-2 * float(((x[i] - x[j]) ** 2).sum())) for i in range(len(x)) for j in range(i)
    ]
    return math.log(sum(terms) / len(terms))


def test_numbers_of_random_directions():
    torch.manual_seed(0)
    query, positive = (normalize(torch.randn(40, 8), dim=1) for _ in range(2))
    found = describe_embeddings(query, positive)
    assert found["spread"] == pytest.approx(1, abs=0.05)
    assert 7 < found["effective_rank"] <= 8
    distances = [float(((q - p) ** 2).sum()) for q, p in zip(query, positive, strict=True)]
    assert found["alignment"] == pytest.approx(sum(distances) / 40, rel=1e-3)
    assert found["uniformity"] == pytest.approx(slow_uniformity(query), rel=1e-3)
    assert collapse_of(found, most_rank=8) == ""


def test_orthogonal_directions_have_their_number_as_rank():
    found = describe_embeddings(torch.eye(6)[[0, 1, 2, 0, 1, 2]], torch.eye(6)[[0, 1, 2, 0, 1, 2]])
    assert found["effective_rank"] == pytest.approx(3, rel=1e-4)
    assert found["alignment"] == 0


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
