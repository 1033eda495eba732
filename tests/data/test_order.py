import copy
from collections import Counter
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.data.order import Batching, BatchOrder, Place


@st.composite
def orders(draw):
    batch_size = draw(st.integers(2, 12))
    batching = Batching(
        num_sources=draw(st.integers(batch_size, 100)),
        batch_size=batch_size,
        pairs_per_visit=draw(st.integers(1, 6)),
        block_batches=draw(st.integers(1, 9)),
    )
    return BatchOrder(batching, seed=draw(st.integers(0, 9)))


def videos_of(order, step):
    places = [Place(step, position) for position in range(order.batching.batch_size)]
    return [order.source(*order.epoch_and_index(place)) for place in places]


def steps_per_round(order):
    return order.batching.pairs_per_visit * order.batching.batches_per_epoch


@given(orders(), st.integers(0, 500))
def test_a_batch_takes_a_video_once(order, step):
    videos = videos_of(order, step)
    assert len(set(videos)) == len(videos) == order.batching.batch_size
    assert set(videos) <= set(range(order.batching.num_sources))


@given(orders(), st.integers(0, 3))
def test_a_round_takes_each_of_its_videos_once_an_epoch(order, number):
    size = steps_per_round(order)
    by_epoch = {}
    for step in range(number * size, (number + 1) * size):
        epoch, _ = order.epoch_and_index(Place(step, 0))
        by_epoch.setdefault(epoch, []).extend(videos_of(order, step))
    cut = order.batching
    first = number * cut.pairs_per_visit
    assert sorted(by_epoch) == list(range(first, first + cut.pairs_per_visit))
    for videos in by_epoch.values():
        assert len(set(videos)) == len(videos) == cut.batches_per_epoch * cut.batch_size
        assert sorted(videos) == sorted(by_epoch[first])


@given(orders(), st.integers(0, 120), st.integers(0, 80))
def test_visits_serve_every_place_once_and_one_video_each(order, start, length):
    steps = range(start, start + length)
    visits = list(order.visits(steps))
    places = [place for visit in visits for place in visit]
    assert sorted(places) == [
        Place(step, position) for step in steps for position in range(order.batching.batch_size)
    ]
    for visit in visits:
        assert len({order.source(*order.epoch_and_index(place)) for place in visit}) == 1
        assert visit == sorted(visit)
        assert len({place.step for place in visit}) == len(visit) <= order.batching.pairs_per_visit
    blocks = [order.batching.locate(visit[0].step)[:2] for visit in visits]
    assert blocks == sorted(blocks)
    for before, after in pairwise(visits):
        if order.batching.locate(before[0].step)[:2] == order.batching.locate(after[0].step)[:2]:
            assert before < after  # as they are needed


@given(orders())
def test_a_whole_block_opens_each_video_once(order):
    opened = Counter()
    for visit in order.visits(range(steps_per_round(order))):
        assert len(visit) == order.batching.pairs_per_visit
        opened[order.source(*order.epoch_and_index(visit[0]))] += 1
    assert set(opened.values()) == {1}
    assert len(opened) == order.batching.batches_per_epoch * order.batching.batch_size


@given(orders())
def test_blocks_are_nearly_equal_and_no_larger_than_asked(order):
    cut = order.batching
    steps = range(steps_per_round(order))
    sizes = {cut.num_batches(block) for block in {cut.locate(step)[1] for step in steps}}
    assert max(sizes) == cut.largest_block
    assert max(sizes) - min(sizes) <= 1


def test_a_block_is_no_larger_than_asked():
    cut = Batching(num_sources=100, batch_size=4, pairs_per_visit=3, block_batches=7)
    assert cut.largest_block == 7
    assert [cut.num_batches(block) for block in range(4)] == [6, 6, 6, 7]


def test_one_pair_a_visit_is_an_epoch_of_a_permutation():
    order = BatchOrder(Batching(num_sources=10, batch_size=3), seed=4)
    for epoch in range(3):
        permutation = np.random.default_rng((4, 1, epoch)).permutation(10)
        steps = range(3 * epoch, 3 * epoch + 3)
        assert list(chain(*(videos_of(order, step) for step in steps))) == permutation[:9].tolist()
        assert order.source(epoch, 9) == permutation[9]


def test_the_epochs_of_a_block_are_shuffled_each_in_its_own_way():
    batching = Batching(num_sources=60, batch_size=5, pairs_per_visit=4, block_batches=6)
    order = BatchOrder(batching, seed=0)
    # Steps 0 to 5 are the first epoch of the first block, 6 to 11 the second, ...
    epochs = [[videos_of(order, step) for step in range(6 * n, 6 * n + 6)] for n in range(4)]
    assert len({str(epoch) for epoch in epochs}) == 4
    assert {frozenset(chain(*epoch)) for epoch in epochs} == {frozenset(chain(*epochs[0]))}
    together = [set(batch) for epoch in epochs for batch in epoch]
    overlaps = [len(a & b) for a in together[:6] for b in together[6:12]]
    assert np.mean(overlaps) == pytest.approx(5 / 6)  # as by chance
    assert max(overlaps) < 5
    # So are the second block, whose first step is 24, and those of another seed.
    shuffles = []
    for some, start in ((order, 0), (order, 24), (BatchOrder(batching, seed=1), 0)):
        videos = list(chain(*(videos_of(some, step) for step in range(start, start + 12))))
        shuffles.append([videos[:30].index(video) for video in videos[30:]])
    assert len({*map(str, shuffles)}) == 3


def test_the_seed_and_the_round_decide():
    def first(seed, run):
        batching = Batching(num_sources=50, batch_size=5, pairs_per_visit=2, block_batches=3)
        order = BatchOrder(batching, seed=seed)
        return tuple(videos_of(order, steps_per_round(order) * run))

    assert first(0, 0) == first(0, 0)
    assert len({first(0, 0), first(1, 0), first(0, 1), first(1, 1)}) == 4


def test_an_order_forgets_old_blocks_and_stays_the_same(monkeypatch):
    monkeypatch.setattr("vidmoco.data.order._PERMUTATIONS_KEPT", 2)
    batching = Batching(num_sources=40, batch_size=4, pairs_per_visit=3, block_batches=2)
    order, other = BatchOrder(batching, seed=0), BatchOrder(batching, seed=0)
    forwards = [videos_of(order, step) for step in range(60)]
    assert [videos_of(other, step) for step in reversed(range(60))] == forwards[::-1]
    assert len(order._shuffles) <= 2


@given(st.integers(1, 40), st.integers(1, 8), st.integers(1, 4), st.integers(0, 60))
def test_a_batch_larger_than_the_sources_takes_each_about_equally(sources, more, visit, step):
    batch_size = sources + more
    batching = Batching(
        num_sources=sources, batch_size=batch_size, pairs_per_visit=visit, block_batches=3
    )
    order = BatchOrder(batching, seed=1)
    assert batching.batches_per_epoch in (8, 9)
    counts = Counter(videos_of(order, step))
    assert set(counts) <= set(range(sources))
    if visit == 1:
        assert max(counts.values()) <= batch_size // sources + 2
        assert min(counts[source] for source in range(sources)) >= batch_size // sources - 1
    # Over a round, nothing is taken more often than anything else, but for the last batch.
    steps = range(steps_per_round(order))
    counts = Counter(chain(*(videos_of(order, step) for step in steps)))
    assert max(counts.values()) - min(counts.values()) <= visit * 2


@given(st.integers(1, 5000), st.integers(1, 64))
def test_an_epoch_of_the_schedules_has_no_few_steps(sources, batch_size):
    """Twice the videos are not an eighth of the training."""
    batching = Batching(num_sources=sources, batch_size=batch_size)
    steps, batches = batching.steps_per_epoch, batching.batches_per_epoch
    assert steps % batches == 0
    assert 5 <= steps <= 9 if batches < 9 else steps == batches


def test_no_sources():
    with pytest.raises(ValueError, match="num_sources = 0, expected 1 or more"):
        Batching(num_sources=0, batch_size=4)


@given(orders(), st.integers(1, 4))
def test_processes_that_share_the_positions_share_the_visits(order, processes):
    """Each reads whole visits, all of them together every place, in the order of one process."""
    cut = order.batching
    steps = range(steps_per_round(order))
    whole = {tuple(visit) for visit in order.visits(steps)}
    shared = []
    for rank in range(processes):
        first, last = (cut.batch_size * number // processes for number in (rank, rank + 1))
        own = copy.copy(cut)
        own.positions = range(first, last)
        other = BatchOrder(own, seed=order._seed)
        shared += [tuple(visit) for visit in other.visits(steps)]
    assert len(shared) == len(whole)
    assert set(shared) == whole
    assert all(len({place.position for place in visit}) == 1 for visit in whole)
