from collections import deque

import torch
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.feature_queue import FeatureQueue


@given(st.integers(1, 13), st.lists(st.integers(1, 20), max_size=8))
def test_queue_is_a_deque_for_any_batch_sizes(size, batches):
    queue = FeatureQueue(size, 3)
    expected = deque(
        zip(queue.keys.clone().tolist(), queue.source_ids.tolist(), strict=True), maxlen=size
    )
    number = 0
    for n in batches:
        ids = torch.arange(number, number + n)
        keys = ids[:, None] + torch.tensor([0.0, 0.25, 0.5])
        number += n
        queue.enqueue(keys, ids)
        expected.extend(zip(keys.tolist(), ids.tolist(), strict=True))
    start = int(queue.position)
    order = [(start + i) % size for i in range(size)]  # oldest first
    assert queue.keys[order].tolist() == [key for key, _ in expected]
    assert queue.source_ids[order].tolist() == [source for _, source in expected]


def test_queue_starts_with_unit_vectors_of_no_source():
    torch.manual_seed(0)
    queue = FeatureQueue(50, 8)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(50))
    assert (queue.source_ids == -1).all()
    assert (queue.keys @ queue.keys.T).fill_diagonal_(0).abs().max() < 0.99


def test_the_state_dict_holds_all_of_it():
    queue, other = FeatureQueue(7, 2), FeatureQueue(7, 2)
    queue.enqueue(torch.ones(5, 2), torch.arange(5))
    other.load_state_dict(queue.state_dict())
    for each in (queue, other):
        each.enqueue(torch.full((4, 2), 2.0), torch.arange(4) + 10)
    assert torch.equal(queue.keys, other.keys)
    assert torch.equal(queue.source_ids, other.source_ids)
    assert queue.position == other.position == 2
