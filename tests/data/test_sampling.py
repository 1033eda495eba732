import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.config.data import DataConfig
from vidmoco.data.order import Batching, BatchOrder, Place
from vidmoco.data.sampling import (
    MAX_REPLACEMENTS,
    PairPlan,
    PairRule,
    pair_generator,
    pair_rule,
    replacements,
    sample_times,
)
from vidmoco.data.sources import whole_videos

seconds = st.floats(0.01, 10_000)


def generator(index=0):
    return pair_generator(seed=0, epoch=0, index=index)


LAWS = ("linear_decay", "uniform", "segments")


@given(
    st.integers(0, 10_000),
    seconds,
    st.floats(0, 60),
    st.none() | st.floats(0, 60),
    st.sampled_from(LAWS),
)
def test_pair_is_in_the_video_and_its_gap_as_asked(index, duration, min_gap, extra, law):
    max_gap = None if extra is None else min_gap + extra
    rule = PairRule(gap_law=law, min_gap=min_gap, max_gap=max_gap)
    a, b = sample_times(generator(index), duration=duration, rule=rule)
    assert 0 <= min(a, b) <= max(a, b) < duration
    gap, slack = abs(a - b), 1e-9 * duration + 1e-6
    if duration <= min_gap:  # the least bad: the longest gap there is
        assert gap == pytest.approx(duration, rel=1e-6)
    else:
        assert gap >= min_gap - slack
        assert max_gap is None or gap <= max_gap + slack


def draw(rule, *, duration=10.0, n=20_000):
    shared = np.random.default_rng(0)
    return np.array([sample_times(shared, duration=duration, rule=rule) for _ in range(n)])


def test_without_limits_the_two_times_are_independent_and_uniform():
    pairs = draw(PairRule())
    histogram, _, _ = np.histogram2d(*pairs.T, bins=4, range=[[0, 10], [0, 10]])
    np.testing.assert_allclose(histogram / len(pairs), 1 / 16, atol=0.006)  # 3.5 sigma


def slow_pairs(law, n=100_000):
    """Pairs of a law in a video of 10 seconds, without limits of the gap."""
    drawn = np.random.default_rng(1).uniform(0, 10, size=(n, 2))
    if law == "segments":
        drawn = drawn / 2 + [0, 5]
    if law == "uniform":
        gap = drawn[:, 1]
        start = drawn[:, 0] / 10 * (10 - gap)
        drawn = np.stack([start, start + gap], 1)
    return np.where(np.random.default_rng(2).random(n)[:, None] < 0.5, drawn, drawn[:, ::-1])


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("least", "greatest"), [(0, None), (1, 4), (3, 8)])
def test_with_limits_it_is_the_law_given_the_limits(law, least, greatest):
    """Against rejection: pairs of the law of which those with an allowed gap are kept."""
    free = slow_pairs(law)
    gaps = np.abs(free[:, 0] - free[:, 1])
    kept = free[(gaps >= least) & (gaps <= (greatest or 10))]
    ours = draw(PairRule(gap_law=law, min_gap=least, max_gap=greatest))
    for mine, theirs in ((ours[:, 0], kept[:, 0]), (np.ptp(ours, axis=1), np.ptp(kept, axis=1))):
        levels = np.linspace(0.05, 0.95, 19)
        np.testing.assert_allclose(
            np.quantile(mine, levels), np.quantile(theirs, levels), atol=0.15
        )


def test_segments_are_the_two_halves():
    pairs = np.sort(draw(PairRule(gap_law="segments"), n=2000), axis=1)
    assert (pairs[:, 0] <= 5).all()
    assert (pairs[:, 1] >= 5).all()


def test_order_in_time_is_a_coin_toss():
    pairs = draw(PairRule(min_gap=1))
    assert abs((pairs[:, 0] < pairs[:, 1]).mean() - 0.5) < 0.015


def test_single_frames():
    control = draw(PairRule(single_frame=True), n=500)
    assert (control[:, 0] == control[:, 1]).all()
    assert np.ptp(control[:, 0]) > 9  # still anywhere in the video


def test_the_same_place_gives_the_same_pair_and_others_give_others():
    def pair(**place):
        where = {"seed": 3, "epoch": 5, "index": 7, "attempt": 0} | place
        return sample_times(pair_generator(**where), duration=10, rule=PairRule())

    assert pair() == pair()
    others = {pair(seed=4), pair(epoch=6), pair(index=8), pair(attempt=1), pair()}
    assert len(others) == 5


@given(st.integers(2, 300), st.integers(2, 64), st.data())
def test_replacements_are_other_videos_and_differ_within_a_batch(num_videos, batch_size, data):
    index = data.draw(st.integers(0, num_videos - 1))
    found = list(replacements(index=index, num_pairs=num_videos, batch_size=batch_size))
    assert index not in found
    assert len(found) == len(set(found)) == min(num_videos - 1, MAX_REPLACEMENTS)
    if num_videos >= 2 * batch_size and index + batch_size < num_videos:
        assert found[0] == index + batch_size


@given(st.integers(2, 300), st.integers(2, 64), st.data())
def test_replacements_are_of_other_batches_while_there_are_videos(num_videos, batch_size, data):
    batch_size = min(batch_size, num_videos)
    num_others = num_videos - batch_size
    start = batch_size * data.draw(st.integers(0, num_videos // batch_size - 1))
    batch = range(start, start + batch_size)
    firsts = []
    for index in batch:
        found = list(replacements(index=index, num_pairs=num_videos, batch_size=batch_size))
        assert not set(found[:num_others]) & set(batch)
        assert set(found[num_others:]) <= set(batch)
        firsts.append(found[0])
    if num_others >= batch_size:  # two failures of a batch get different videos
        assert len(set(firsts)) == batch_size


def test_a_plan_draws_the_moment_of_a_place_and_then_its_stand_ins():
    durations = np.arange(1.0, 21.0)
    batching = Batching(num_sources=20, batch_size=4, pairs_per_visit=2, block_batches=2)
    order = BatchOrder(batching, seed=3)
    plan = PairPlan(order, whole_videos(durations), rule=PairRule(), seed=3)
    place = Place(6, 2)
    epoch, index = order.epoch_and_index(place)
    moments = list(plan.moments(place))
    assert moments == list(plan.moments(place))
    rows = [moment.row for moment in moments]
    assert rows[0] == order.source(epoch, index)
    assert sorted(rows) == list(range(20))
    for attempt, moment in enumerate(moments):
        drawn = pair_generator(seed=3, epoch=epoch, index=index, attempt=attempt)
        duration = durations[moment.row]
        assert moment.times == sample_times(drawn, duration=duration, rule=PairRule())
    batch = {next(plan.moments(Place(6, n))).row for n in range(4)}
    assert not batch & set(rows[1:4])  # the first stand-ins are not in the batch


def slow_times(law, frames, n=100_000):
    """Times of more than two frames in a video of 10 seconds, without limits of the gap."""
    generator = np.random.default_rng(3)
    drawn = generator.uniform(0, 10, size=(n, frames))
    if law == "segments":
        return (drawn / 10 + np.arange(frames)) * 10 / frames
    if law == "uniform":
        gap = drawn[:, 1]
        start = drawn[:, 0] / 10 * (10 - gap)
        between = start + generator.uniform(size=(frames - 2, n)) * gap
        drawn = np.stack([start, *between, start + gap], 1)
    return drawn


@pytest.mark.parametrize("frames", [3, 5])
@pytest.mark.parametrize(
    ("law", "least", "greatest"),
    [
        ("linear_decay", 0, None),
        ("linear_decay", 2, 6),
        ("uniform", 0, None),
        ("uniform", 2, 6),
        ("segments", 0, None),
    ],
)
def test_more_frames_follow_the_law_between_first_and_last(law, least, greatest, frames):
    free = np.sort(slow_times(law, frames), axis=1)
    gaps = np.ptp(free, axis=1)
    kept = free[(gaps >= least) & (gaps <= (greatest or 10))]
    rule = PairRule(gap_law=law, min_gap=least, max_gap=greatest, frames=frames)
    ours = draw(rule, n=6000)
    assert ours.shape[1] == frames and ours.min() >= 0 and ours.max() < 10
    ordered = np.sort(ours, axis=1)
    levels = np.linspace(0.05, 0.95, 19)
    for place in range(frames):
        np.testing.assert_allclose(
            np.quantile(ordered[:, place], levels),
            np.quantile(kept[:, place], levels),
            atol=0.2,
        )
    # Each place of the batch is any of them.
    for place in range(frames):
        assert ours[:, place].mean() == pytest.approx(ordered.mean(), abs=0.1)


@given(st.integers(0, 1000), seconds, st.floats(0, 60), st.floats(0, 60), st.integers(3, 16))
def test_more_frames_are_in_the_video_and_within_the_gap(index, duration, least, extra, frames):
    rule = PairRule(min_gap=least, max_gap=least + extra, frames=frames)
    times = sample_times(generator(index), duration=duration, rule=rule)
    assert len(times) == frames
    assert 0 <= min(times) <= max(times) < duration
    assert max(times) - min(times) <= least + extra + 1e-9 * duration + 1e-6


def test_single_frames_of_several():
    times = draw(PairRule(single_frame=True, frames=4), n=50)
    assert (times == times[:, :1]).all()


def test_the_control_overrides_the_gaps():
    assert pair_rule(DataConfig(single_frame=True)) == PairRule(single_frame=True)
    assert pair_rule(DataConfig(frames_per_video=4)) == PairRule(frames=4)
    config = DataConfig(gap_law="uniform", min_gap=1.0, max_gap=2.0)
    assert pair_rule(config) == PairRule(gap_law="uniform", min_gap=1.0, max_gap=2.0)
