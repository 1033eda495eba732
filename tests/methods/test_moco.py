import copy
import math

import pytest
import timm
import torch
from method_material import (
    SHARED_STATS,
    built,
    gradients,
    keys_without_gradient,
    one_step,
    run,
    tiny_backbone,
    views,
)
from reference import contrast
from reference.moco import SlowMoCo, unit
from reference.moco import info_nce as slow_info_nce
from torch import nn
from torch.nn.functional import normalize

from vidmoco.config.methods import MoCoConfig, SimCLRConfig


def moco(backbone=None, *, num_features=6, large_views=2, **options):
    settings = {"dim": 4, "queue_size": 10, "momentum": 0.9, "tau": 0.2, "bn_splits": 1}
    inputs = {"num_features": num_features, "large_views": large_views}
    return built(MoCoConfig(**(settings | options)), backbone or tiny_backbone(), **inputs)


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
    trained = list(method.encoder_q.parameters())
    optimizer = torch.optim.SGD(trained, lr=0.5, momentum=0.9, weight_decay=1e-2)
    for step in range(3):
        pair = views(step)
        optimizer.zero_grad()
        loss, stats = run(method, pair, ids=torch.arange(4) + 10 * step)
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
    run(method, views(0), ids=torch.arange(4))
    assert all(p.grad is None for p in method.encoder_k.parameters())
    assert not any(p.requires_grad for p in method.encoder_k.parameters())
    assert not method.queue.keys.requires_grad
    assert all(p.grad is not None for p in method.encoder_q.parameters())


def test_keys_enter_the_queue_after_the_loss_is_taken():
    method = moco(queue_size=4)
    before = method.queue.keys.clone()
    pair = views(0)
    loss, _ = run(method, pair, ids=torch.tensor([7, 8, 9, 10]))
    again = moco(queue_size=4)
    again.queue.keys.copy_(before)
    expected, _ = run(again, pair, ids=torch.tensor([7, 8, 9, 10]))
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
    keys = method.key(view)
    expected = torch.empty_like(keys)
    for half in (order[:4], order[4:]):
        alone = moco(normed(), bn_splits=1)  # its own statistics, as on a device of its own
        expected[half] = normalize(alone.encoder_k(view[half]), dim=1)
    torch.testing.assert_close(keys, expected)
    unshuffled = normalize(moco(normed(), bn_splits=2).encoder_k(view), dim=1)
    assert not torch.allclose(keys, unshuffled, atol=1e-3)


@pytest.mark.parametrize("symmetric", [False, True])
def test_micro_batches_are_one_step(symmetric):
    """Two halves in turn equal one batch: the same loss, gradients, key encoder and queue."""
    whole, halves = moco(symmetric=symmetric), moco(symmetric=symmetric)
    with torch.no_grad():
        for method in (whole, halves):
            for p in method.encoder_q.parameters():
                p.mul_(1.5)  # else the momentum update does nothing
    one, of_one = one_step(whole, views(0))
    two, of_two = one_step(halves, views(0), num_parts=2)
    assert one["loss"].item() == pytest.approx(two["loss"].item(), rel=1e-5)
    for name in of_one:
        torch.testing.assert_close(of_one[name], of_two[name], rtol=1e-4, atol=1e-6)
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
    loss, stats = run(method, views(0, n=4, size=size), ids=torch.arange(4))
    assert torch.isfinite(loss)
    assert set(stats) == SHARED_STATS | {"queue_age"}


def test_state_dict_restores_a_run():
    method, other = moco(), moco()
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1)
    run(method, views(0), ids=torch.arange(4))
    other.load_state_dict(method.state_dict())
    pair = views(1)
    assert run(method, pair, ids=torch.arange(4))[0] == run(other, pair, ids=torch.arange(4))[0]


def test_symmetric_is_the_sum_of_both_halves_and_enqueues_after_them():
    """As the authors' CIFAR demo: a queue of just both keys would else meet its own positives."""
    method, slow = (moco(queue_size=8, symmetric=True) for _ in range(2))
    x1, x2 = views(0)
    with torch.no_grad():
        queue = method.queue.keys.clone()
        k1, k2 = ([unit(row) for row in slow.encoder_k(x)] for x in (x1, x2))  # m * k + ... = k
    q1, q2 = ([unit(row) for row in slow.encoder_q(x)] for x in (x1, x2))
    expected = slow_info_nce(q1, k2, queue, 0.2)[0] + slow_info_nce(q2, k1, queue, 0.2)[0]
    expected.backward()
    loss, stats = run(method, [x1, x2], ids=torch.arange(4))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    chance = loss.item() - stats["loss_minus_chance"].item()
    assert chance == pytest.approx(2 * math.log(9), rel=1e-5)
    for a, b in zip(method.encoder_q.parameters(), slow.encoder_q.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(method.queue.keys, torch.stack([*k1, *k2]))
    assert method.queue.source_ids.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize("large_views", [2, 3])
def test_with_small_crops_the_diagnostics_are_of_the_terms_of_the_loss(large_views):
    method = moco(queue_size=8, symmetric=True, large_views=large_views)
    pictures = [torch.cat([views(seed)[0]]) for seed in range(large_views + 2)]
    values, _ = one_step(method, pictures)
    chance = values["loss"].item() - values["loss_minus_chance"].item()
    assert chance == pytest.approx(2 * math.log(9), rel=1e-5)
    assert 0 <= values["top1"] <= 100


def test_the_age_is_the_same_in_parts():
    method = moco(queue_size=16, symmetric=True, large_views=3)
    pictures = [views(seed)[0] for seed in range(3)]
    ages = [one_step(method, pictures, num_parts=2)[0]["queue_age"].item() for _ in range(3)]
    assert ages == [0, 1, 1.25]  # 12 keys of the last step, 4 of the one before


def test_in_parts_the_embeddings_are_of_the_whole_batch():
    method = moco(queue_size=8, bn_splits=1)
    one_step(method, views(0), num_parts=2)
    query, positive = method.embeddings
    assert query.shape == positive.shape == (4, 4)
    expected = [normalize(method.encoder_q(part), dim=1) for part in views(0)[0].chunk(2)]
    torch.testing.assert_close(query, torch.cat(expected).detach())


@pytest.mark.parametrize("within", [None, 1.0])
@pytest.mark.parametrize("same_video", ["masked", "positive"])
def test_keys_of_the_query_s_own_video(same_video, within):
    method = moco(same_video=same_video, same_video_seconds=within)
    run(method, views(0), ids=torch.tensor([1, 2, 3, 4]), times=seconds(0.0, 5.0))
    pair, ids = views(1), torch.tensor([2, 9, 4, 1])
    queue, sources, times = (
        getattr(method.queue, name).clone() for name in ("keys", "source_ids", "times")
    )
    q = [unit(row) for row in method.encoder_q(pair[0])]
    k = [unit(row) for row in method.encoder_k(pair[1])]
    terms = []
    # Keys are of second 5; the queries of 4.5, 4.5, 7 and 4.5.
    starts = [4.5, 4.5, 7.0, 4.5]
    num_same = 0
    for i, query in enumerate(q):
        same = [
            bool(sources[j] == ids[i]) and (within is None or abs(times[j] - starts[i]) <= within)
            for j in range(10)
        ]
        num_same += sum(same)
        others = [queue[j] for j in range(10) if not same[j]]
        more = [queue[j] for j in range(10) if same[j]] if same_video == "positive" else []
        terms.append(contrast.any_positive(query, [k[i], *more], others, 0.2))
    assert num_same == (3 if within is None else 2)
    with torch.no_grad():
        expected = sum(terms) / 4
    given = torch.tensor([[start, 9.0] for start in starts], dtype=torch.float64)
    loss, stats = run(method, pair, ids=ids, times=given)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert stats["same_video"].item() == pytest.approx(100 * num_same / 40)


def seconds(first, second, n=4):
    return torch.tensor([[first, second]] * n, dtype=torch.float64)


@pytest.mark.parametrize(
    ("symmetric", "crops", "pairs"),
    [
        (False, 2, [(0, 1), (2, 1), (3, 1)]),
        (True, 1, [(0, 1), (1, 0), (2, 0), (2, 1)]),  # a crop has two keys, and counts twice
    ],
)
def test_small_crops_are_queries_of_the_same_keys(symmetric, crops, pairs):
    method, slow = moco(symmetric=symmetric), moco(symmetric=symmetric)
    pictures = views(0, crops=crops)
    queue = method.queue.keys.clone()
    with torch.no_grad():
        k = [[unit(row) for row in slow.encoder_k(picture)] for picture in pictures[:2]]
        q = [[unit(row) for row in slow.encoder_q(picture)] for picture in pictures]
        expected = sum(slow_info_nce(q[one], k[key], queue, 0.2)[0] for one, key in pairs)
        expected *= (2 if symmetric else 1) / len(pairs)
    assert run(method, pictures)[0].item() == pytest.approx(expected.item(), rel=1e-5)
    assert int(method.queue.position) == (8 if symmetric else 4)


def test_the_age_of_the_queue_counts_batches():
    method = moco(queue_size=8)
    ages = [run(method, views(step))[1]["queue_age"].item() for step in range(4)]
    assert ages == [0, 1, 1.5, 1.5]  # of the negatives of each step


def test_momentum_on_a_cosine_ends_at_one():
    method = moco(momentum=0.5, momentum_schedule="cosine")
    with torch.no_grad():
        for p in method.encoder_q.parameters():
            p.add_(1)
    before = [p.clone() for p in method.encoder_k.parameters()]
    run(method, views(0), progress=1.0)
    assert all(map(torch.equal, before, method.encoder_k.parameters()))
    run(method, views(0), progress=0.0)
    for was, q, k in zip(
        before, method.encoder_q.parameters(), method.encoder_k.parameters(), strict=True
    ):
        torch.testing.assert_close(k, (was + q) / 2)


def test_no_gradient_comes_through_keys_even_to_pixels():
    assert keys_without_gradient(moco())


TERMS = {
    False: [(0, [1, 2])],
    True: [(0, [1, 2]), (1, [0, 2]), (2, [0, 1])],
}


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("batch_negatives", [False, True])
def test_several_frames_are_several_positives(symmetric, batch_negatives):
    """Against the slow restatement: SlowFast's softmaxes, and VINCE's negatives and block mask."""
    options = dict(large_views=3, symmetric=symmetric, batch_negatives=batch_negatives)
    method, slow = moco(queue_size=12, **options), moco(queue_size=12, **options)
    three, ids = views(0, large=3), torch.tensor([5, 6, 7, 8])
    queue = method.queue.keys.clone()
    with torch.no_grad():
        keys = [slow.encoder_k(view) for view in three]  # m * k + ... = k
    loaded = [0, 1, 2] if symmetric else [1, 2]
    total = 0.0
    for q, positives in TERMS[symmetric]:
        for i, query in enumerate(slow.encoder_q(three[q])):
            negatives = list(queue)
            if batch_negatives:  # the keys of the other videos; those of its own are masked
                negatives += [keys[k][j] for k in loaded for j in range(4) if j != i]
            mine = [keys[k][i] for k in positives]
            total = total + contrast.several(query, mine, negatives, 0.2) / 4
    expected = total / len(TERMS[symmetric]) * (2 if symmetric else 1)
    expected.backward()
    values, found = one_step(method, three, ids=ids)
    assert values["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    theirs = gradients(slow)
    assert found.keys() == theirs.keys()
    for name in found:
        torch.testing.assert_close(found[name], theirs[name], rtol=1e-3, atol=1e-6)
    # All keys enter, those of one view after the other (SlowFast's multi-view queue).
    assert method.queue.source_ids.tolist()[: 4 * len(loaded)] == ids.tolist() * len(loaded)
    for number, k in enumerate(loaded):
        torch.testing.assert_close(
            method.queue.keys[4 * number : 4 * number + 4],
            torch.nn.functional.normalize(keys[k], dim=1),
        )


def test_each_key_has_the_time_of_its_frame():
    method = moco(queue_size=12, large_views=3, symmetric=True)
    times = torch.arange(12.0, dtype=torch.float64).view(4, 3)
    one_step(method, views(0, large=3), times=times)
    assert method.queue.times.tolist() == times.T.flatten().tolist()


@pytest.mark.parametrize("same_video", ["masked", "positive"])
def test_batch_negatives_beside_keys_of_the_own_video(same_video):
    method = moco(batch_negatives=True, same_video=same_video)
    run(method, views(0), ids=torch.tensor([1, 2, 3, 4]))
    pair, ids = views(1), torch.tensor([2, 9, 4, 1])
    queue, sources = method.queue.keys.clone(), method.queue.source_ids.clone()
    q, k = method.encoder_q(pair[0]), method.encoder_k(pair[1])
    terms = []
    for i, query in enumerate(q):
        own = [j for j in range(10) if sources[j] == ids[i]]
        others = [queue[j] for j in range(10) if j not in own]
        others += [k[j] for j in range(4) if j != i]
        more = [queue[j] for j in own] if same_video == "positive" else []
        terms.append(
            contrast.any_positive(unit(query), [unit(k[i]), *more], map(unit, others), 0.2)
        )
    loss, stats = run(method, pair, ids=ids)
    assert loss.item() == pytest.approx((sum(terms) / 4).item(), rel=1e-5)
    assert stats["same_video_in_batch"] == 25  # of 4 keys the query's own


@pytest.mark.parametrize("same_video", ["negative", "masked", "positive"])
@pytest.mark.parametrize(("progress", "joined"), [(0.0, False), (0.49, False), (0.5, True)])
def test_the_queue_joins_later(same_video, progress, joined):
    """Before, only the batch's keys are negatives; a queue of the query's own video is neither."""
    method = moco(queue_from=0.5, batch_negatives=True, same_video=same_video)
    run(method, views(0), ids=torch.tensor([1, 2, 3, 4]))
    pair, ids = views(1), torch.tensor([2, 9, 4, 1])
    queue, sources = method.queue.keys.clone(), method.queue.source_ids.clone()
    q, k = method.encoder_q(pair[0]), method.encoder_k(pair[1])
    terms, num_negatives = [], 0
    for i, query in enumerate(q):
        own = [j for j in range(10) if sources[j] == ids[i] and same_video != "negative"]
        others = [queue[j] for j in range(10) if joined and j not in own]
        others += [k[j] for j in range(4) if j != i]
        more = [queue[j] for j in own] if joined and same_video == "positive" else []
        num_negatives += len(others)
        terms.append(
            contrast.any_positive(unit(query), [unit(k[i]), *more], map(unit, others), 0.2)
        )
    expected = sum(terms) / 4
    wanted = torch.autograd.grad(expected, list(method.encoder_q.parameters()))
    method.zero_grad()
    loss, stats = run(method, pair, ids=ids, progress=progress)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for parameter, gradient in zip(method.encoder_q.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)
    assert num_negatives == (12 if not joined else 52 if same_video == "negative" else 49)
    assert method.queue.source_ids.tolist()[4:8] == ids.tolist()  # it fills from the start
    assert math.isfinite(stats["negative"])


def test_the_head_with_batch_norm_is_simclr_s():
    ours = moco(head="mlp_bn").projector
    theirs = built(SimCLRConfig(dim=4), tiny_backbone(), num_features=6).projector
    assert str(ours) == str(theirs)
    assert {n: p.shape for n, p in ours.named_parameters()} == {
        n: p.shape for n, p in theirs.named_parameters()
    }


def test_micro_batches_of_several_frames_are_one_step():
    whole, parts = (moco(queue_size=24, large_views=3, symmetric=True) for _ in range(2))
    three = views(0, large=3)
    one, of_one = one_step(whole, three)
    two, of_two = one_step(parts, three, num_parts=2)
    assert one["loss"].item() == pytest.approx(two["loss"].item(), rel=1e-5)
    for name in of_one:
        torch.testing.assert_close(of_one[name], of_two[name], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(whole.queue.keys, parts.queue.keys)
    assert torch.equal(whole.queue.source_ids, parts.queue.source_ids)


def saved_bytes(large):
    """The bytes that the backward pass of a step waits for."""
    method, saved = moco(large_views=large, queue_size=8), []

    def keep(tensor):
        saved.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run(method, views(0, large=large, size=32))
    return sum(saved)


def test_memory_does_not_grow_with_the_frames():
    assert saved_bytes(8) < 1.05 * saved_bytes(2)
