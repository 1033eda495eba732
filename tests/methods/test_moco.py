import copy

import pytest
import timm
import torch
from reference.moco import SlowMoCo
from torch import nn

from vidmoco.methods.moco import MoCo
from vidmoco.optim import build_sgd, set_learning_rate


def tiny_backbone():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def moco(backbone=None, *, num_features=6, **options):
    torch.manual_seed(0)
    settings = {"dim": 4, "queue_size": 10, "momentum": 0.9, "tau": 0.2}
    return MoCo(backbone or tiny_backbone(), num_features=num_features, **(settings | options))


def views(seed, n=4, size=8):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, 3, size, size, generator=generator) for _ in range(2)]


@pytest.mark.parametrize(("head", "tau"), [("linear", 0.07), ("mlp", 0.2)])
def test_three_steps_equal_the_algorithm_box(head, tau):
    method = moco(head=head, tau=tau)
    slow = SlowMoCo(
        copy.deepcopy(method.encoder_q),
        method.queue.keys,
        m=0.9,
        tau=tau,
        lr=0.5,
        sgd_momentum=0.9,
        decay=1e-2,
    )
    optimizer = build_sgd(method.parameters(), momentum=0.9, weight_decay=1e-2)
    set_learning_rate(optimizer, 0.5)
    for step in range(3):
        pair = views(step)
        loss, stats = method(pair, source_ids=torch.arange(4) + 10 * step)
        optimizer.zero_grad()
        loss.backward()
        expected, gradients, ranks = slow.step(*pair)
        assert loss.item() == pytest.approx(expected, rel=1e-4)
        assert stats["top1"].item() == 100 * sum(r < 1 for r in ranks) / 4
        for parameter, gradient in zip(method.encoder_q.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=2e-3, atol=2e-5)
        optimizer.step()
        start = int(method.queue.position)
        order = [(start + i) % 10 for i in range(10)]
        torch.testing.assert_close(
            method.queue.keys[order], torch.stack(slow.queue), rtol=1e-4, atol=1e-5
        )
    for ours, theirs in zip(method.encoder_k.parameters(), slow.f_k.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    # Three batches of four into ten slots: the third wrapped around.
    assert method.queue.source_ids.tolist() == [22, 23, 2, 3, 10, 11, 12, 13, 20, 21]


def test_the_key_side_never_gets_a_gradient():
    method = moco()
    loss, _ = method(views(0), source_ids=torch.arange(4))
    loss.backward()
    assert all(p.grad is None for p in method.encoder_k.parameters())
    assert not any(p.requires_grad for p in method.encoder_k.parameters())
    assert not method.queue.keys.requires_grad
    assert all(p.grad is not None for p in method.encoder_q.parameters())


def test_keys_enter_the_queue_after_the_loss_is_taken():
    method = moco(queue_size=4)
    before = method.queue.keys.clone()
    pair = views(0)
    loss, _ = method(pair, source_ids=torch.tensor([7, 8, 9, 10]))
    again = moco(queue_size=4)
    again.queue.keys.copy_(before)
    expected, _ = again(pair, source_ids=torch.tensor([7, 8, 9, 10]))
    assert loss == expected
    assert not torch.equal(method.queue.keys, before)
    assert method.queue.source_ids.tolist() == [7, 8, 9, 10]


def test_both_encoders_start_equal():
    method = moco()
    for q, k in zip(method.encoder_q.parameters(), method.encoder_k.parameters(), strict=True):
        assert torch.equal(q, k)
    assert method.backbone is method.encoder_q[0]


def test_split_batch_norm_shuffles_keys_among_parts_but_not_their_order():
    def normed():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    method = moco(normed(), bn_splits=2)
    view = views(3, n=8)[1]
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    keys = method._shuffled_keys(view)
    expected = torch.empty_like(keys)
    for half in (order[:4], order[4:]):
        alone = moco(normed(), bn_splits=1)  # its own statistics, as on a device of its own
        expected[half] = alone.encoder_k(view[half])
    torch.testing.assert_close(keys, expected)
    unshuffled = moco(normed(), bn_splits=2).encoder_k(view)
    assert not torch.allclose(keys, unshuffled, atol=1e-3)


def test_micro_batches_are_one_step():
    """Two halves in turn equal one batch: the same loss, gradients, key encoder and queue."""
    whole, halves = moco(), moco()
    with torch.no_grad():
        for method in (whole, halves):
            for p in method.encoder_q.parameters():
                p.mul_(1.5)  # else the momentum update does nothing
    pair, ids = views(0), torch.arange(4)
    loss, _ = whole(pair, source_ids=ids)
    loss.backward()
    sum_of_losses = 0.0
    for part in range(2):
        part_loss, _ = halves(
            [view.chunk(2)[part] for view in pair],
            source_ids=ids.chunk(2)[part],
            first=part == 0,
            last=part == 1,
        )
        (part_loss / 2).backward()
        sum_of_losses += part_loss.item() / 2
    assert sum_of_losses == pytest.approx(loss.item(), rel=1e-5)
    for a, b in zip(whole.encoder_q.parameters(), halves.encoder_q.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)
    for a, b in zip(whole.encoder_k.parameters(), halves.encoder_k.parameters(), strict=True):
        assert torch.equal(a, b)
    torch.testing.assert_close(whole.queue.keys, halves.queue.keys)
    assert torch.equal(whole.queue.source_ids, halves.queue.source_ids)


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("resnet18", 32, {}),
        ("vit_tiny_patch16_224", 32, {"img_size": 32}),
        ("efficientnet_lite0", 32, {}),
    ],
)
def test_any_timm_backbone_trains(name, size, options):
    backbone = timm.create_model(name, num_classes=0, **options)
    method = moco(backbone, num_features=backbone.head_hidden_size, bn_splits=2)
    loss, stats = method(views(0, n=4, size=size), source_ids=torch.arange(4))
    loss.backward()
    assert torch.isfinite(loss)
    assert set(stats) == {"top1", "top5", "positive", "negative"}


def test_state_dict_restores_a_run():
    method, other = moco(), moco()
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1)
    method(views(0), source_ids=torch.arange(4))
    other.load_state_dict(method.state_dict())
    pair = views(1)
    assert method(pair, source_ids=torch.arange(4))[0] == other(pair, source_ids=torch.arange(4))[0]
