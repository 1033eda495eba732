import math

import pytest
import torch
from torch.nn.functional import normalize

from vidmoco.train.diagnostics import describe_embeddings


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


def test_orthogonal_directions_have_their_number_as_rank():
    found = describe_embeddings(torch.eye(6)[[0, 1, 2, 0, 1, 2]], torch.eye(6)[[0, 1, 2, 0, 1, 2]])
    assert found["effective_rank"] == pytest.approx(3, rel=1e-4)
    assert found["spread"] == pytest.approx((1 / 3) ** 0.5, rel=1e-4)
    assert found["alignment"] == 0
