import math

import numpy as np
import pytest
import torch
from method_material import (
    SHARED_STATS,
    built,
    gradients,
    one_step,
    run,
    sgd_step,
    tiny_backbone,
    views,
)
from reference import contrast
from torch.nn.functional import cross_entropy, normalize

from vidmoco.config.methods import MemoryBankConfig
from vidmoco.errors import ConfigError
from vidmoco.methods.memory_bank import count_instances


def bank(**options):
    config = MemoryBankConfig(**({"dim": 5, "num_negatives": 6, "tau": 0.3} | options))
    return built(config, tiny_backbone(), durations=np.ones(9), seed=2)


IDS = torch.tensor([7, 0, 3, 8])


@pytest.mark.parametrize("loss_name", ["nce", "softmax", "info_nce"])
def test_three_steps_equal_the_paper(loss_name):
    method, slow = bank(loss=loss_name), bank(loss=loss_name)
    entries = [row.clone() for row in slow.entries]
    draws = torch.Generator().manual_seed(2)
    constant = None
    for step in range(3):
        pair = views(step)
        q = [contrast.unit(row) for row in slow.encoder(pair[0])]
        if loss_name == "softmax":
            scores = [[v @ entry / 0.3 for entry in entries] for v in q]
            terms = [
                contrast.cross_entropy(s, i) for s, i in zip(scores, IDS.tolist(), strict=True)
            ]
            expected = sum(terms) / 4
        elif loss_name == "info_nce":
            drawn = torch.randint(9, (6,), generator=draws).tolist()
            scores = [
                [v @ entries[j] / 0.3 for j in (i, *drawn)]
                for v, i in zip(q, IDS.tolist(), strict=True)
            ]
            expected = sum(contrast.cross_entropy(s, 0) for s in scores) / 4
        else:
            drawn = torch.randint(9, (4, 6), generator=draws).tolist()
            noise = [[entries[j] for j in row] for row in drawn]
            if constant is None:  # from the first batch, with its positives
                own = [v @ entries[i] for v, i in zip(q, IDS.tolist(), strict=True)]
                sims = own + [v @ e for v, row in zip(q, noise, strict=True) for e in row]
                constant = 9 * sum((s / 0.3).exp() for s in sims).detach() / len(sims)
            expected = contrast.nce(
                q, [entries[i] for i in IDS.tolist()], noise, tau=0.3, num_instances=9,
                constant=constant,
            )  # fmt: skip
        expected.backward()
        loss, stats = run(method, pair, ids=IDS)
        assert set(stats) == SHARED_STATS
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        for name, gradient in gradients(slow).items():
            torch.testing.assert_close(gradients(method)[name], gradient, rtol=1e-3, atol=1e-6)
        for i, v in zip(IDS.tolist(), q, strict=True):
            entries[i] = contrast.moved(entries[i], v.detach(), 0.5)
        torch.testing.assert_close(method.entries, torch.stack(entries))
        sgd_step(method.parameters())
        sgd_step(slow.parameters())


def test_momentum_is_the_share_of_the_entry_that_stays():
    method = bank(momentum=0.3)
    before = method.entries.clone()
    run(method, views(0), ids=IDS)
    query, _ = method.embeddings
    expected = before.clone()
    for i, v in zip(IDS.tolist(), query, strict=True):
        expected[i] = contrast.unit(0.3 * before[i] + 0.7 * v)
    torch.testing.assert_close(method.entries, expected)
    assert (method.entries - before)[IDS].abs().max() > 0.1


def test_an_instance_that_a_batch_has_twice_moves_towards_the_mean():
    method = bank(loss="softmax")
    before = method.entries.clone()
    pair = views(0)
    query = normalize(method.encoder(pair[0]), dim=1).detach()
    run(method, pair, ids=torch.tensor([3, 1, 3, 3]))
    expected = contrast.moved(before[3], query[[0, 2, 3]].mean(0), 0.5)
    torch.testing.assert_close(method.entries[3], expected)
    torch.testing.assert_close(method.entries[1], contrast.moved(before[1], query[1], 0.5))


def test_the_second_view_is_not_looked_at():
    first, second = views(0)
    expected = run(bank(), [first, second], ids=IDS)[0]
    assert torch.equal(run(bank(), [first, second + 1], ids=IDS)[0], expected)


@pytest.mark.parametrize(
    ("loss_name", "chance"),
    [("softmax", math.log(9)), ("info_nce", math.log(7)), ("nce", contrast.chance_of_nce(6))],
)
def test_equal_entries_give_the_chance_value(loss_name, chance):
    method = bank(loss=loss_name)
    method.entries.copy_(torch.ones(5).expand(9, 5) / math.sqrt(5))
    same = views(0, n=1)[0].expand(4, 3, 8, 8)
    loss, stats = run(method, [same, same], ids=IDS)
    assert loss.item() == pytest.approx(chance, rel=1e-4)
    assert stats["loss_minus_chance"].item() == pytest.approx(0, abs=1e-4)


def test_micro_batches_are_one_step():
    whole, halves = bank(loss="softmax"), bank(loss="softmax")
    run(whole, views(0), ids=IDS)
    one_step(halves, views(0), ids=IDS, num_parts=2)
    torch.testing.assert_close(whole.entries, halves.entries)


def test_all_of_it_is_in_the_state():
    method, other = bank(), bank()
    run(method, views(0), ids=IDS)
    other.load_state_dict(method.state_dict())
    pair = views(1)
    assert torch.equal(run(method, pair, ids=IDS)[0], run(other, pair, ids=IDS)[0])


def test_instances_may_be_parts_of_videos():
    config = MemoryBankConfig(dim=5, num_negatives=4, instance_seconds=0.5)
    durations = np.array([1.2, 0.3, 1.0, 2.0])
    assert count_instances(durations, seconds=0.5).tolist() == [3, 2, 3, 5]
    method = built(config, tiny_backbone(), durations=durations)
    assert len(method.entries) == 13
    before = method.entries.clone()
    times = torch.tensor([[1.19, 0.0], [0.0, 0.0], [0.49, 0.0], [1.99, 0.0]]).double()
    run(method, views(0), ids=torch.tensor([0, 1, 2, 3]), times=times)
    changed = (method.entries != before).any(1).nonzero().flatten().tolist()
    # 1.19 s is nearest to 1.0 of the first video, 0.49 to 0.5 of the third, 1.99 to 2.0.
    assert changed == [2, 3, 6, 12]


def test_a_small_crop_is_of_the_instance_that_its_frame_is():
    """Views are of the frames in turn: large 0, large 1, then a crop of frame 0, and of frame 1."""
    config = MemoryBankConfig(dim=5, loss="softmax", instance_seconds=1.0)
    durations = np.array([4.0, 4.0])
    method = built(config, tiny_backbone(), durations=durations)
    large, crops = views(0)[0][:2], views(1)
    times = torch.tensor([[0.0, 4.0], [1.0, 3.0]]).double()
    ids, entries = torch.tensor([0, 1]), method.entries.clone()
    with torch.no_grad():
        loss, _ = run(method, [large, large, crops[0][:2], crops[1][:2]], ids=ids, times=times)
        expected = []
        method.load_state_dict(method.state_dict() | {"entries": entries})
        for view, seconds in ((large, (0, 1)), (crops[0][:2], (0, 1)), (crops[1][:2], (4, 3))):
            logits = normalize(method.encoder(view), dim=1) @ entries.T / method.tau
            labels = torch.tensor([seconds[0], 5 + seconds[1]])
            expected.append(cross_entropy(logits, labels))
    assert loss.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


def test_more_instances_than_can_be_counted():
    with pytest.raises(ConfigError, match=r"is 1e-20, which makes 1e\+20 instances"):
        count_instances(np.array([1.0]), seconds=1e-20)


def test_a_video_is_an_instance_unless_told():
    assert count_instances(np.array([0.0, 7000.0]), seconds=None).tolist() == [1, 1]
    assert count_instances(np.array([0.0]), seconds=1.0).tolist() == [1]


@pytest.mark.parametrize(("fps", "of_video"), [(10, 10), (2, 29.97), (10, 29.97), (4, 24)])
def test_each_prepared_frame_is_an_instance(fps, of_video):
    """A prepared frame is the one shown at k / fps, and begins a little before."""
    config = MemoryBankConfig(dim=5, num_negatives=4, instance_seconds=1 / fps)
    shown = np.floor(np.arange(40) / fps * of_video + 1e-9) / of_video
    durations = np.array([shown[-1] + 1 / of_video])
    method = built(config, tiny_backbone(), durations=durations)
    found = method._instances(torch.zeros(40).long(), torch.from_numpy(shown))
    assert found.tolist() == list(range(40)) and len(method.entries) >= 40
