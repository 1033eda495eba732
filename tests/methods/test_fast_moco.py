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
from vidmoco.config.methods import FastMoCoConfig
from vidmoco.methods.fast_moco import divide_views


def fast_moco(backbone=None, *, num_features=6, large_views=2, **options):
    settings = {"dim": 5, "hidden_dim": 12, "predictor_hidden_dim": 8, "momentum": 0.9, "tau": 0.5}
    config = FastMoCoConfig(**(settings | options))
    inputs = {"num_features": num_features, "large_views": large_views}
    return built(config, backbone or normed_backbone(), **inputs)


@pytest.mark.parametrize(("divide", "combine"), [(2, 2), (2, 1), (2, 3), (3, 2), (1, 1)])
def test_three_steps_equal_divide_encode_combine_contrast(divide, combine):
    options = dict(divide=divide, combine=combine)
    method, slow = fast_moco(**options).double(), fast_moco(**options).double()
    for step in range(3):
        pair, ids = [view.double() for view in views(step, n=8, size=12)], sources(step, 8)
        q = []
        for view in pair:
            features = slow.backbone(torch.cat(contrast.patches_of(view, divide)))
            combos = contrast.combined(features.split(len(view)), combine)
            embedded = slow.predictor(slow.encoder_q[1](torch.cat(combos)))
            q.append(embedded.split(len(view)))
        with torch.no_grad():
            twins = zip(slow.encoder_k.parameters(), slow.encoder_q.parameters(), strict=True)
            for p_k, p_q in twins:
                p_k.copy_(p_k * 0.9 + p_q * 0.1)
            k = [slow.encoder_k(view) for view in pair]  # whole views
        losses = [contrast.in_batch(c, k[b], 0.5, ids) for a, b in [(0, 1), (1, 0)] for c in q[a]]
        assert len(losses) == 2 * math.comb(divide**2, combine)
        expected = sum(losses) / len(losses)
        expected.backward()
        loss, stats = run(method, pair, ids=torch.tensor(ids), progress=step / 3)
        assert set(stats) == SHARED_STATS
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        ours, theirs = gradients(method), gradients(slow)
        assert ours.keys() == theirs.keys()
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-5)
        sgd_step(method.parameters())
        sgd_step(slow.parameters())


def test_patches_are_the_views_cut_row_by_row():
    view = views(0, n=2, size=12)[0]
    expected = torch.cat(contrast.patches_of(view, 3))
    assert torch.equal(divide_views(view, 3), expected)
    with pytest.raises(ValueError, match="12 pixels are not divisible by 5"):
        divide_views(view, 5)


def test_heads_are_the_papers():
    method = fast_moco()
    block = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert [type(layer) for layer in method.encoder_q[1]] == [*block, *block, *block[:2]]
    assert [type(layer) for layer in method.predictor] == [*block, nn.Linear]
    modules = [*method.encoder_q[1], *method.predictor]
    assert all(layer.bias is not None for layer in modules if isinstance(layer, nn.Linear))
    assert method.encoder_q[1][7].affine
    assert method.predictor[0].out_features == 8


def test_equal_embeddings_give_log_batch():
    loss, stats = run(fast_moco(), [torch.zeros(8, 3, 8, 8)] * 2)
    assert loss.item() == pytest.approx(math.log(8), rel=1e-4)
    assert stats["loss_minus_chance"].item() == pytest.approx(0, abs=1e-3)


def test_a_transformer_takes_patches_and_crops():
    vit = build_backbone("vit_tiny_patch16_224", size=64, other_sizes=[32])
    method = fast_moco(vit, num_features=192)
    loss, _ = run(method, views(0, n=2, size=64, crops=1))
    assert math.isfinite(loss.item())
    assert all(p.grad is None for p in method.encoder_k.parameters())


def test_no_gradient_comes_through_keys_even_to_pixels():
    assert keys_without_gradient(fast_moco())


def test_patches_of_several_frames():
    """Each patch of a query is of the next of its frames; targets are the first two, whole."""
    method, slow = (fast_moco(large_views=4).double() for _ in range(2))
    four = [view.double() for view in views(0, n=8, size=12, large=4)]
    with torch.no_grad():
        k = [slow.encoder_k(view) for view in four[:2]]  # as the online one at the start
    losses = []
    for query, frames in ((0, (0, 2)), (1, (1, 3))):
        cut = [contrast.patches_of(four[frame], 2) for frame in frames]
        patches = [cut[number % 2][number] for number in range(4)]
        features = slow.backbone(torch.cat(patches)).split(8)
        embedded = slow.predictor(slow.encoder_q[1](torch.cat(contrast.combined(features, 2))))
        losses += [contrast.in_batch(part, k[1 - query], 0.5) for part in embedded.split(8)]
    loss, _ = run(method, four)
    assert loss.item() == pytest.approx((sum(losses) / len(losses)).item(), rel=1e-5)
