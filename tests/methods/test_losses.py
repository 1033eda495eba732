import math

import pytest
import torch
from reference import contrast
from reference.moco import chance_loss
from reference.moco import info_nce as slow_info_nce
from torch.nn.functional import normalize

from vidmoco.methods.losses import in_batch_nce, info_nce, nce, nce_constant, nt_xent


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


def test_masked_keys_are_as_if_they_were_not_there():
    query, key, negatives = embeddings(3)
    masked = torch.zeros(8, 11, dtype=torch.bool)
    masked[:, ::3] = True
    loss, stats = info_nce(query, key, negatives, tau=0.2, masked=masked)
    expected, without = info_nce(query, key, negatives[~masked[0]], tau=0.2)
    torch.testing.assert_close(loss, expected)
    for name in stats:
        torch.testing.assert_close(stats[name], without[name])


def test_more_positives_give_the_probability_of_any():
    query, key, negatives = embeddings(4)
    positives = torch.zeros(8, 11, dtype=torch.bool)
    positives[2, 5] = positives[2, 7] = positives[6, 0] = True
    loss, stats = info_nce(query, key, negatives, tau=0.2, positives=positives)
    terms = [
        contrast.any_positive(
            query[i], [key[i], *negatives[positives[i]]], negatives[~positives[i]], 0.2
        )
        for i in range(8)
    ]
    torch.testing.assert_close(loss, sum(terms) / 8)
    similarities = (query @ negatives.T)[~positives]
    torch.testing.assert_close(stats["negative"], similarities.mean())


def test_loss_minus_chance_is_zero_where_all_are_equal():
    same = torch.ones(4, 8) / 8**0.5
    masked = torch.zeros(4, 8, dtype=torch.bool)
    masked[0, 0] = masked[1, :5] = True
    for options in ({}, {"masked": masked}, {"positives": masked}):
        _, stats = info_nce(same, same, same[:1].expand(8, 8), tau=0.1, **options)
        assert stats["loss_minus_chance"].item() == pytest.approx(0, abs=1e-5)


def test_in_batch_losses_equal_the_slow_ones():
    first, second, _ = embeddings(5)
    loss, _ = in_batch_nce(first, second, torch.arange(8), tau=0.3)
    torch.testing.assert_close(loss, contrast.in_batch(first, second, 0.3))
    labels = torch.arange(8).roll(3)
    loss, _ = in_batch_nce(first, second[labels.argsort()], labels, tau=0.3)
    torch.testing.assert_close(loss, contrast.in_batch(first, second, 0.3))
    loss, _ = nt_xent(first, second, torch.arange(8), tau=0.3)
    torch.testing.assert_close(loss, contrast.nt_xent(first, second, 0.3))
    ids = [4, 1, 4, 4, 2, 1, 0, 3]
    loss, stats = nt_xent(first, second, torch.tensor(ids), tau=0.3)
    torch.testing.assert_close(loss, contrast.nt_xent(first, second, 0.3, ids))
    assert stats["loss_minus_chance"].isfinite()


def test_a_batch_of_one_source_has_nothing_to_tell_apart():
    first, second = (one.requires_grad_() for one in embeddings(5)[:2])
    loss, _ = nt_xent(first, second, torch.zeros(8, dtype=torch.int64), tau=0.3)
    loss.backward()
    assert loss.item() == 0 and not first.grad.any() and not second.grad.any()


def test_nce_equals_the_slow_one_and_its_constant_the_mean():
    query, positive, _ = embeddings(6)
    noise = torch.stack([embeddings(seed)[2] for seed in range(8)])
    sims = torch.stack([entry @ q for q, row in zip(query, noise, strict=True) for entry in row])
    constant = nce_constant(query, noise, tau=0.3, num_instances=50)
    torch.testing.assert_close(constant, 50 * (sims / 0.3).exp().mean())
    loss, _ = nce(query, positive, noise, tau=0.3, num_instances=50, constant=constant)
    expected = contrast.nce(query, positive, noise, tau=0.3, num_instances=50, constant=constant)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("masking", [False, True])
def test_several_positives_have_each_a_softmax_of_its_own(masking):
    query, _, negatives = embeddings(5)
    keys = normalize(torch.randn(8, 3, 5, generator=torch.Generator().manual_seed(1)), dim=2)
    masked = torch.rand(8, 11, generator=torch.Generator().manual_seed(2)) < 0.3
    ours, theirs = query.clone().requires_grad_(), query.clone().requires_grad_()
    rays, out_of = normalize(ours, dim=1), masked if masking else None
    loss, stats = info_nce(rays, keys, negatives, tau=0.3, masked=out_of)
    expected = sum(
        contrast.several(q, k, negatives[~out] if masking else negatives, 0.3)
        for q, k, out in zip(theirs, keys, masked, strict=True)
    ) / len(theirs)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    singles = [info_nce(query, keys[:, p], negatives, tau=0.3)[1] for p in range(3)]
    if not masking:
        for name, value in stats.items():
            torch.testing.assert_close(value, torch.stack([one[name] for one in singles]).mean())


def test_one_of_several_is_one():
    query, key, negatives = embeddings(6)
    one, several = (info_nce(query, k, negatives, tau=0.3) for k in (key, key[:, None]))
    assert torch.equal(one[0], several[0])


def test_a_query_without_negatives_has_no_loss_and_no_gradient():
    query, key, negatives = embeddings(7)
    masked = torch.zeros(8, 11, dtype=torch.bool)
    masked[2] = True
    query.requires_grad_()
    loss, _ = info_nce(query, key, negatives, tau=0.2, masked=masked)
    loss.backward()
    assert query.grad.isfinite().all()
    assert query.grad[2].abs().max() == 0 and query.grad[3].abs().max() > 0
