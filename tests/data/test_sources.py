import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.config.data import DataConfig
from vidmoco.data.order import Batching, BatchOrder, Place
from vidmoco.data.sampling import PairPlan, PairRule
from vidmoco.data.sources import cut_sources, gap_note, part_seconds, sources_of, whole_videos
from vidmoco.errors import ConfigError

DURATIONS = st.lists(st.floats(0.01, 1e5), min_size=1, max_size=20).map(np.array)


@given(DURATIONS, st.floats(0.5, 1e4))
def test_the_parts_of_a_video_are_equal_and_cover_it(durations, seconds):
    sources = cut_sources(durations, seconds=seconds)
    for row, duration in enumerate(durations.tolist()):
        own = np.flatnonzero(sources.rows == row)
        assert len(own) == max(1, round(duration / seconds))
        lengths = sources.durations[own]
        assert np.allclose(lengths, duration / len(own), rtol=1e-9)
        ends = sources.starts[own] + lengths
        assert sources.starts[own[0]] == 0 and np.isclose(ends[-1], duration)
        assert np.allclose(ends[:-1], sources.starts[own[1:]])
    assert (np.diff(sources.rows) >= 0).all()


def test_shots_are_cut_at_their_cuts_and_long_ones_in_parts():
    sources = cut_sources(np.array([100.0, 5.0]), seconds=30, cuts=[(10.0, 12.0), ()])
    assert sources.rows.tolist() == [0, 0, 0, 0, 0, 1]
    assert sources.starts.tolist() == pytest.approx([0, 10, 12, 12 + 88 / 3, 12 + 176 / 3, 0])
    assert sources.durations.tolist() == pytest.approx([10, 2, 88 / 3, 88 / 3, 88 / 3, 5])


@pytest.mark.parametrize(
    ("durations", "batch_size", "expected"),
    [
        ([10.0] * 900, 128, 30),  # enough footage: only what is long is cut
        ([3600.0] * 20, 256, 30),
        ([60.0] * 3, 128, 2),  # 1.4 would be needed: no shorter than 2
        ([60.0] * 10, 128, 600 / 128),
        ([2.0], 128, 2 / 8),  # seconds: an eighth of all there is
        ([0.08, 0.04], 128, 0.1),  # no part is shorter: it would be one frame
    ],
)
def test_how_long_parts_are(durations, batch_size, expected):
    found = part_seconds(np.array(durations), batch_size=batch_size, asked=None)
    assert found == pytest.approx(expected)


def test_parts_are_long_enough_for_the_gaps_that_are_asked_for():
    hours = np.full(20, 3600.0)
    assert part_seconds(hours, batch_size=256, asked=None, gap=60.0) == 120.0
    data = DataConfig(batch_size=256, max_gap=60.0)
    assert sources_of(data, hours, None).durations.min() == 120.0
    assert sources_of(DataConfig(min_gap=45.0), hours, None).durations.min() == 90.0


def test_an_hour_long_recording_is_many_sources():
    hours = np.full(20, 3600.0)
    seconds = part_seconds(hours, batch_size=256, asked=None)
    assert len(cut_sources(hours, seconds=seconds)) == 2400


def test_a_length_that_is_asked_for():
    durations = np.array([12.0, 3.0])
    assert part_seconds(durations, batch_size=2, asked=12.0) == 12.0
    with pytest.raises(ConfigError, match=r"segment-seconds is 12\.5, and the longest .* 12 s"):
        part_seconds(durations, batch_size=2, asked=12.5)


@given(st.integers(0, 200), st.sampled_from(["linear_decay", "uniform", "segments"]))
def test_times_of_a_pair_are_within_their_source(step, law):
    sources = cut_sources(np.array([100.0, 7.0, 31.0]), seconds=10.0)
    order = BatchOrder(Batching(num_sources=len(sources), batch_size=4), seed=0)
    plan = PairPlan(order, sources, rule=PairRule(gap_law=law), seed=0)
    for position in range(4):
        moment = next(plan.moments(Place(step, position)))
        start, length = (x[moment.source] for x in (sources.starts, sources.durations))
        assert moment.row == sources.rows[moment.source]
        assert all(start <= time < start + length for time in moment.times)


def test_whole_videos():
    sources = whole_videos(np.array([1e6, 0.0, 3.0]))
    assert sources.rows.tolist() == [0, 1, 2]
    assert sources.starts.tolist() == [0, 0, 0]
    assert sources.durations.tolist() == [1e6, 0, 3]


@pytest.mark.parametrize(
    ("settings", "durations", "told"),
    [
        ({"segments": "whole"}, [1.0, 1.2379], r"longest video lasts 1.23 s, .* Give less\."),
        ({"segments": "whole"}, [0.004], r"longest video lasts 0.004 s"),
        ({"batch_size": 64}, [60.0] * 3, r"longest segment lasts 2.8\d s.*-seconds 20 or .*whole"),
        ({"segment_seconds": 5.0}, [60.0] * 3, "longest segment lasts 5 s"),
    ],
)
def test_a_gap_longer_than_everything_is_refused(settings, durations, told):
    with pytest.raises(ConfigError, match=f"min-gap is 10 s, and the {told}"):
        sources_of(DataConfig(min_gap=10.0, **settings), np.array(durations), None)
    with_one_frame = DataConfig(min_gap=10.0, single_frame=True, **settings)
    assert len(sources_of(with_one_frame, np.array(durations), None))
    resumed = sources_of(DataConfig(min_gap=10.0, **settings), np.array(durations), None, new=False)
    assert len(resumed) == len(sources_of(DataConfig(**settings), np.array(durations), None))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ""),
        ({"min_gap": 2.0}, ""),
        ({"min_gap": 2.5}, "2 of 3 videos are shorter than --data.min-gap (2.5 s) and give their"),
        ({"min_gap": 4.0, "max_gap": 9.0}, "2 of 3 videos are shorter than --data.min-gap (4 s)"),
        ({"max_gap": 4.0}, ""),
        ({"max_gap": 9.0}, "No video is as long as --data.max-gap (9 s): gaps are at most 4 s."),
        ({"max_gap": 9.0, "single_frame": True}, ""),
    ],
)
def test_what_is_too_short_for_the_gaps_is_said(settings, said):
    data = DataConfig(segments="whole", **settings)
    sources = sources_of(data, np.array([2.0, 2.0, 4.0]), None)
    note = gap_note(data, sources, num_videos=3)
    assert note.startswith(said) and bool(note) == bool(said)


def test_segments_that_are_too_short_are_counted():
    data = DataConfig(min_gap=6.0, segment_seconds=8.0)
    sources = sources_of(data, np.array([16.0, 5.0]), None)
    assert gap_note(data, sources, num_videos=2).startswith("1 of 3 segments are shorter than")


def test_videos_of_one_frame_have_no_gap():
    data = DataConfig(max_gap=1.5)
    sources = sources_of(data, np.zeros(3), None)
    assert "gaps are at most 0 s" in gap_note(data, sources, num_videos=3)
