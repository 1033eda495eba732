import math

import pytest
import torch
from method_material import (
    SHARED_STATS,
    built,
    gradients,
    normed_backbone,
    run,
    sgd_step,
    sources,
    views,
)
from reference import contrast
from torch import nn

from vidmoco.config.methods import EndToEndConfig, SimCLRConfig


def simclr(**options):
    return built(SimCLRConfig(dim=5, tau=0.3, **options), normed_backbone())


def end_to_end(**options):
    config = EndToEndConfig(**({"dim": 5, "tau": 0.3, "bn_splits": 1} | options))
    return built(config, normed_backbone())


def assert_same_gradients(method, slow):
    ours, theirs = gradients(method), gradients(slow)
    assert ours.keys() == theirs.keys() == dict(method.named_parameters()).keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("projector_layers", [2, 3])
def test_three_steps_equal_algorithm_1(projector_layers):
    method, slow = (simclr(projector_layers=projector_layers) for _ in range(2))
    for step in range(3):
        pair = views(step)
        z = slow.encoder(torch.cat(pair))
        ids = sources(step, 4)
        expected = contrast.nt_xent(z[:4], z[4:], 0.3, ids)
        expected.backward()
        loss, stats = run(method, pair, ids=torch.tensor(ids))
        assert set(stats) == SHARED_STATS
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        assert_same_gradients(method, slow)
        sgd_step(method.parameters())
        sgd_step(slow.parameters())


def test_the_last_norm_has_a_scale_and_no_shift():
    projector = simclr(projector_layers=3).encoder[1]
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert [type(layer) for layer in projector] == [*kinds, *kinds, *kinds[:2]]
    assert projector[7].weight is not None
    assert projector[7].bias is None
    assert projector[4].bias is not None
    assert all(projector[i].bias is None for i in (0, 3, 6))


def test_equal_embeddings_give_log_2n_minus_1():
    loss, stats = run(simclr(), [torch.zeros(8, 3, 8, 8)] * 2)
    assert loss.item() == pytest.approx(math.log(15), rel=1e-5)
    assert stats["loss_minus_chance"].item() == pytest.approx(0, abs=1e-5)


def test_small_crops_meet_both_large_views():
    pair = views(0, crops=1)
    slow = simclr()
    large = slow.encoder(torch.cat(pair[:2])).split(4)
    z = [*large, slow.encoder(pair[2])]
    expected = sum(contrast.nt_xent(z[a], z[b], 0.3) for a, b in [(0, 1), (2, 0), (2, 1)]) / 3
    assert run(simclr(), pair)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_end_to_end_equals_figure_2a():
    """Gradients flow through the keys too."""
    method, slow = end_to_end(), end_to_end()
    for step in range(3):
        pair = views(step)
        q, k = (slow.encoder(view) for view in pair)
        expected = contrast.in_batch(q, k, 0.3, sources(step, 4))
        expected.backward()
        loss, stats = run(method, pair, ids=torch.tensor(sources(step, 4)))
        assert set(stats) == SHARED_STATS
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        assert_same_gradients(method, slow)
        sgd_step(method.parameters())
        sgd_step(slow.parameters())


def test_keys_of_the_end_to_end_mechanism_are_shuffled_among_the_parts():
    """MoCo, section 3.3: queries and keys of one pair meet different statistics, with gradients."""
    method, slow = end_to_end(bn_splits=2), end_to_end()
    x1, x2 = views(0, n=8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    q = torch.cat([slow.encoder(part) for part in x1.chunk(2)])
    k = torch.cat([slow.encoder(part) for part in x2[order].chunk(2)])[order.argsort()]
    expected = contrast.in_batch(q, k, 0.3)
    expected.backward()
    loss, _ = run(method, [x1, x2])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert_same_gradients(method, slow)
