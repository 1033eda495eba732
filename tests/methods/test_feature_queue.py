from collections import deque

import torch
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.methods.feature_queue import FeatureQueue


@given(st.integers(1, 13), st.lists(st.integers(1, 20), max_size=8))
def test_queue_is_a_deque_for_any_batch_sizes(size, batches):
    queue = FeatureQueue(size, 3)
    expected = deque(
        zip(
            queue.keys.clone().tolist(),
            queue.source_ids.tolist(),
            queue.times.tolist(),
            strict=True,
        ),
        maxlen=size,
    )
    number = 0
    for n in batches:
        ids = torch.arange(number, number + n)
        keys = ids[:, None] + torch.tensor([0.0, 0.25, 0.5])
        number += n
        times = ids.double() / 7
        queue.enqueue(keys, ids, times)
        expected.extend(zip(keys.tolist(), ids.tolist(), times.tolist(), strict=True))
    start = int(queue.position)
    order = [(start + i) % size for i in range(size)]  # oldest first
    assert queue.keys[order].tolist() == [key for key, _, _ in expected]
    assert queue.source_ids[order].tolist() == [source for _, source, _ in expected]
    assert queue.times[order].tolist() == [seconds for _, _, seconds in expected]


def test_queue_starts_with_unit_vectors_of_no_source():
    torch.manual_seed(0)
    queue = FeatureQueue(50, 8)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(50))
    assert (queue.source_ids == -1).all()
    assert (queue.keys @ queue.keys.T).fill_diagonal_(0).abs().max() < 0.99


def test_the_state_dict_holds_all_of_it():
    queue, other = FeatureQueue(7, 2), FeatureQueue(7, 2)
    queue.enqueue(torch.ones(5, 2), torch.arange(5), torch.zeros(5).double())
    other.load_state_dict(queue.state_dict())
    for each in (queue, other):
        each.enqueue(torch.full((4, 2), 2.0), torch.arange(4) + 10, torch.ones(4).double())
    assert torch.equal(queue.keys, other.keys)
    assert torch.equal(queue.source_ids, other.source_ids)
    assert queue.position == other.position == 2
    assert torch.equal(queue.times, other.times)
    assert torch.equal(queue.born, other.born)


def test_which_keys_are_of_the_same_video():
    queue = FeatureQueue(4, 2)
    times = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    queue.enqueue(torch.ones(3, 2), torch.tensor([7, 7, 8]), times)
    asked = torch.tensor([7, 8, 9]), torch.tensor([2.0, 5.0, 0.0], dtype=torch.float64)
    assert queue.same_video(*asked, within=None).int().tolist() == [
        [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    assert queue.same_video(*asked, within=1.0)[0].tolist() == [False, True, False, False]


def test_age_counts_batches_and_not_the_random_keys():
    queue = FeatureQueue(4, 2)
    assert queue.mean_age() == 0
    for _ in range(2):
        queue.enqueue(torch.ones(1, 2), torch.zeros(1).long(), torch.zeros(1).double())
    assert queue.mean_age() == 1.5
