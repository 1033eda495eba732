import math

import torch
from reference.moco import chance_loss
from reference.moco import info_nce as slow_info_nce
from torch.nn.functional import normalize

from vidmoco.losses import info_nce


def embeddings(seed, n=8, k=11, c=5):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        normalize(torch.randn(rows, c, generator=generator, dtype=torch.float32), dim=1)
        for rows in (n, n, k)
    )


def test_loss_and_gradient_equal_the_slow_restatement():
    for seed in range(3):
        query, key, negatives = embeddings(seed)
        ours, theirs = query.clone().requires_grad_(), query.clone().requires_grad_()
        loss, stats = info_nce(ours, key, negatives, tau=0.2)
        expected, ranks = slow_info_nce(theirs, key, negatives, 0.2)
        torch.testing.assert_close(loss, expected)
        loss.backward()
        expected.backward()
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
        assert stats["top1"].item() == 100 * sum(r < 1 for r in ranks) / len(ranks)
        assert stats["top5"].item() == 100 * sum(r < 5 for r in ranks) / len(ranks)


def test_equal_embeddings_give_log_of_k_plus_one():
    same = normalize(torch.ones(4, 8), dim=1)
    loss, stats = info_nce(same, same, same[:1].expand(37, 8), tau=0.07)
    assert math.isclose(loss.item(), chance_loss(37), rel_tol=1e-5)
    assert stats["top1"] == 0  # a tie with a negative is not a success


def test_a_perfect_match_has_almost_no_loss_at_a_low_temperature():
    key = normalize(torch.eye(4, 8), dim=1)
    negatives = normalize(torch.eye(8)[5:], dim=1)
    loss, stats = info_nce(key, key, negatives, tau=0.02)
    assert loss < 1e-6
    assert (stats["top1"], stats["positive"]) == (100, 1)


def test_bf16_autocast_does_not_reach_the_loss():
    query, key, negatives = embeddings(0, n=64, k=512, c=128)
    expected, _ = info_nce(query, key, negatives, tau=0.07)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = info_nce(query, key, negatives, tau=0.07)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
