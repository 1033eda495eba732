import copy
import math

import pytest
import torch
from method_material import (
    SHARED_STATS,
    built,
    gradients,
    keys_without_gradient,
    normed_backbone,
    run,
    sgd_step,
    sources,
    views,
)
from reference import contrast
from torch import nn

from vidmoco.backbones.build import build_backbone
from vidmoco.config.methods import MoCoV3Config


def moco_v3(backbone=None, *, num_features=6, **options):
    config = MoCoV3Config(dim=5, hidden_dim=12, momentum=0.9, tau=0.3, **options)
    return built(config, backbone or normed_backbone(), num_features=num_features)


@pytest.mark.parametrize("predictor_norm", [False, True])
@pytest.mark.parametrize("projector_layers", [2, 3])
def test_three_steps_equal_algorithm_1(projector_layers, predictor_norm):
    options = dict(projector_layers=projector_layers, predictor_norm=predictor_norm)
    method, slow = moco_v3(**options).double(), moco_v3(**options).double()
    f_q, f_k, predictor = slow.encoder_q, slow.encoder_k, slow.predictor
    for step in range(3):
        x1, x2 = (view.double() for view in views(step, n=8))
        progress = step / 3
        q1, q2 = predictor(f_q(x1)), predictor(f_q(x2))
        m = 1 - 0.5 * (1 + math.cos(math.pi * progress)) * (1 - 0.9)
        with torch.no_grad():
            for p_k, p_q in zip(f_k.parameters(), f_q.parameters(), strict=True):
                p_k.copy_(p_k * m + p_q * (1 - m))
            k1, k2 = f_k(x1), f_k(x2)
        expected = contrast.moco_v3(q1, q2, k1, k2, tau=0.3, ids=sources(step, 8))
        expected.backward()
        loss, stats = run(method, [x1, x2], ids=torch.tensor(sources(step, 8)), progress=progress)
        assert set(stats) == SHARED_STATS
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        ours, theirs = gradients(method), gradients(slow)
        assert ours.keys() == theirs.keys()
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-5)
        sgd_step(method.parameters())
        sgd_step(slow.parameters())


def test_heads_are_the_papers():
    resnet = moco_v3(projector_layers=2)
    projector, predictor = resnet.encoder_q[1], resnet.predictor
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d]
    assert [type(layer) for layer in projector] == kinds
    assert [type(layer) for layer in predictor] == kinds[:-1]  # no norm at the end
    assert not projector[4].affine
    assert projector[1].affine
    linear = [layer for layer in [*projector, *predictor] if isinstance(layer, nn.Linear)]
    assert all(layer.bias is None for layer in linear)
    shapes = [(layer.in_features, layer.out_features) for layer in linear]
    assert shapes == [(6, 12), (12, 5), (5, 12), (12, 5)]
    transformer = moco_v3(projector_layers=3, predictor_norm=True)
    assert len(transformer.encoder_q[1]) == 8
    assert not transformer.predictor[4].affine


def test_equal_embeddings_give_four_tau_log_batch():
    method = moco_v3()
    pair = [torch.zeros(8, 3, 8, 8)] * 2  # batch norm of equal rows gives zeros; unit(0) is 0
    loss, stats = run(method, pair)
    assert loss.item() == pytest.approx(4 * 0.3 * math.log(8), rel=1e-5)
    assert stats["loss_minus_chance"].item() == pytest.approx(0, abs=1e-5)


def test_the_chance_value_has_the_factor_of_the_loss():
    loss, stats = run(moco_v3(), views(0))
    assert abs(loss.item() - 4 * 0.3 * math.log(4)) > 0.01
    chance = loss.item() - stats["loss_minus_chance"].item()
    assert chance == pytest.approx(4 * 0.3 * math.log(4), rel=1e-5)


def test_keys_have_no_gradient_and_the_predictor_no_twin():
    method = moco_v3()
    run(method, views(0))
    assert all(p.grad is None for p in method.encoder_k.parameters())
    assert all(p.grad is not None for p in method.predictor.parameters())
    assert len(method.encoder_k) == 2


def test_momentum_ends_at_one():
    method = moco_v3()
    with torch.no_grad():
        for p in method.encoder_q.parameters():
            p.add_(1)
    before = copy.deepcopy(method.encoder_k.state_dict())
    run(method, views(0), progress=1.0)
    for name, p in method.encoder_k.named_parameters():
        assert torch.equal(p, before[name])


def test_small_crops_are_queries_of_both_large_views():
    pair = views(0, crops=1)
    method, slow = moco_v3(), moco_v3()
    loss, _ = run(method, pair)
    q = [slow.predictor(slow.encoder_q(view)) for view in pair]
    k = [slow.encoder_k(view) for view in pair[:2]]
    terms = [(0, 1), (1, 0), (2, 0), (2, 1)]
    expected = sum(contrast.in_batch(q[a], k[b], 0.3) for a, b in terms) / 4
    assert loss.item() == pytest.approx(4 * 0.3 * expected.item(), rel=1e-5)


def test_frozen_patches_stay_in_both_encoders():
    vit = build_backbone("vit_tiny_patch16_224", size=32, freeze_patches=True)
    method = moco_v3(vit, num_features=192)
    encoders = (method.encoder_q[0], method.encoder_k[0])
    before = [copy.deepcopy(encoder.patch_embed.state_dict()) for encoder in encoders]
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=0.01)
    for step in range(3):
        run(method, views(step, size=32))
        optimizer.step()
        optimizer.zero_grad()
    for encoder, was in zip(encoders, before, strict=True):
        for name, value in encoder.patch_embed.state_dict().items():
            assert torch.equal(value, was[name])
    moved = method.encoder_q[0].blocks[0].attn.qkv.weight
    assert not torch.equal(moved, method.encoder_k[0].blocks[0].attn.qkv.weight)


def test_no_gradient_comes_through_keys_even_to_pixels():
    assert keys_without_gradient(moco_v3())
