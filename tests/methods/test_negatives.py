import pytest
import torch

from vidmoco.methods.feature_queue import FeatureQueue
from vidmoco.methods.negatives import Negatives, keys_of_queue, with_keys_of_batch

IDS = torch.tensor([5, 6])
TIMES = torch.tensor([1.0, 9.0], dtype=torch.float64)


@pytest.fixture
def queue():
    """Three keys of the videos 5, 7, 6, each of second 2, and a random one."""
    torch.manual_seed(0)
    queue = FeatureQueue(4, 3)
    queue.enqueue(torch.eye(3), torch.tensor([5, 7, 6]), torch.full((3,), 2.0).double())
    return queue


def test_without_options_all_keys_are_negatives(queue):
    found, stats = keys_of_queue(queue, IDS, TIMES, same_video="negative", within=None)
    assert found.keys is queue.keys  # no copy
    assert found.masked is None and found.positives is None
    assert stats == {"queue_age": 1}


@pytest.mark.parametrize(("within", "share"), [(None, 25), (1.0, 12.5)])
def test_keys_of_the_own_video(queue, within, share):
    own = torch.tensor([[1, 0, 0, 0], [0, 0, 1 if within is None else 0, 0]]).bool()
    masked, stats = keys_of_queue(queue, IDS, TIMES, same_video="masked", within=within)
    assert torch.equal(masked.masked, own) and masked.positives is None
    assert stats["same_video"] == share
    positive, _ = keys_of_queue(queue, IDS, TIMES, same_video="positive", within=within)
    assert torch.equal(positive.positives, own) and positive.masked is None


def test_keys_of_the_batch_come_behind_with_the_own_ones_masked(queue):
    batch = [torch.randn(2, 3), torch.randn(2, 3)]
    positives = torch.tensor([[1, 0, 0, 0], [0, 0, 1, 0]]).bool()
    given = Negatives(queue.keys, masked=None, positives=positives)
    found, stats = with_keys_of_batch(given, batch, IDS)
    assert torch.equal(found.keys, torch.cat([queue.keys, *batch]))
    block = [[1, 0, 1, 0], [0, 1, 0, 1]]
    assert found.masked.int().tolist() == [[0] * 4 + row for row in block]
    assert found.positives.int().tolist() == [[1, 0, 0, 0] + [0] * 4, [0, 0, 1, 0] + [0] * 4]
    assert stats == {"same_video_in_batch": 50}
