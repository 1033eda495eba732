import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.video.filled_times import fill_times


def filled(times, step=10):
    found = fill_times(times, step=step)
    assert found is not None
    return found[0].tolist(), found[1]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, None, 20, 30], [0, 10, 20, 30]),
        ([0, None, None, 20], [0, 7, 13, 20]),  # rounded
        ([None, 10, 20, 30], [0, 10, 20, 30]),
        ([0, 10, 20, None], [0, 10, 20, 30]),
        ([0, 10, 20, 20, 40], [0, 10, 20, 30, 40]),  # the second repeats the first
        ([0, 20, 20, 30, 40], [0, 10, 20, 30, 40]),  # the first repeats the second
        ([10, 10, 20, 30, 40], [0, 10, 20, 30, 40]),
        ([0, 10, 20, 30, 30], [0, 10, 20, 30, 40]),
        ([50, 0, 70, 80, 90], [50, 60, 70, 80, 90]),
        ([900, 10, 20, 30, 40], [0, 10, 20, 30, 40]),
        ([0, 10, 900, 30, 40], [0, 10, 20, 30, 40]),
        ([0, 10, 20, 30, 0], [0, 10, 20, 30, 40]),
        ([0, 10, 300, 310, 310, 900], [0, 10, 300, 310, 605, 900]),
    ],
)
def test_what_does_not_fit_is_filled(times, expected):
    found, number = filled(times)
    assert found == expected
    assert number == sum(a != b for a, b in zip(times, expected, strict=True))


def test_a_frame_takes_a_tick_at_least():
    found, _ = filled([0, None, None, 2, 30, 40, 50])
    assert min(np.diff(found)) >= 1


def test_recordings_end_to_end_go_on():
    one, two = list(range(100, 200, 10)), list(range(0, 300, 20))
    found, number = filled([*one, *two])
    assert number == 0
    assert found[:10] == one
    assert np.diff(found[10:]).tolist() == [20] * 14
    assert found[10] == 210


def test_noise_is_no_clock():
    noise = np.random.default_rng(0).permutation(100).tolist()
    assert fill_times(noise, step=10) is None
    assert fill_times([None, None], step=10) is None
    assert fill_times([], step=10) is None


@given(
    gaps=st.lists(st.integers(20, 60), min_size=9, max_size=60),
    place=st.integers(0, 100),
    wrong=st.none() | st.integers(-1000, 10**6),
)
def test_one_wrong_time_changes_no_other_by_more_than_a_gap(gaps, place, wrong):
    times = np.cumsum([0, *gaps]).tolist()
    place %= len(times)
    given_times = [*times[:place], wrong, *times[place + 1 :]]
    found, number = filled(given_times)
    assert number <= 1
    assert (np.diff(found) >= 1).all()
    others = [abs(a - b) for i, (a, b) in enumerate(zip(found, times, strict=True)) if i != place]
    assert sum(other > 0 for other in others) <= 1
