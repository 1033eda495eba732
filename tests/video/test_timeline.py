from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.video.packet_list import PacketList
from vidmoco.video.ticks import unpacked
from vidmoco.video.timeline import counted_timeline, timeline_of


def packets_of(times, *, keys=(0,), duration=1, **flags):
    """Packets in decode order; ``keys`` are positions."""
    packets = PacketList()
    for position, pts in enumerate(times):
        packets.add(pts=pts, duration=duration, key=position in keys, **flags)
    return packets


def describe(packets, *, first_pts=0, time_base=Fraction(1, 10), rate=Fraction(10)):
    return timeline_of(
        packets,
        first_pts=first_pts,
        time_base=time_base,
        average_rate=rate,
        nominal_rate=rate,
    )


def test_b_frames_are_put_in_order():
    timeline = describe(packets_of([0, 3, 1, 2, 4, 7, 5, 6], keys=(0, 4)))
    assert timeline.num_frames == 8
    assert timeline.duration_seconds == 0.8
    assert timeline.frame_rate == 10
    assert timeline.keyframe_seconds == 0.4
    assert not timeline.leading_pictures
    assert not timeline.variable_rate
    assert not timeline.estimated
    assert timeline.ticks_per_second == 10


def test_leading_pictures_are_seen():
    packets = packets_of([0, 1, 4, 2, 3, 5], keys=(0, 2))  # 2 and 3 follow key frame 4
    assert describe(packets).leading_pictures
    assert not packets.in_order


def test_hidden_frames_are_an_edit_list():
    packets = PacketList()
    for pts in range(-3, 5):
        packets.add(pts=pts, duration=1, key=pts == -3, hidden=pts < 0)
    timeline = describe(packets)
    assert timeline.edit_list
    assert timeline.num_frames == 5
    assert timeline.start_seconds == 0
    assert timeline.duration_seconds == 0.5
    assert timeline.keyframe_seconds == 0.8  # reaching the end needs all eight


def test_what_precedes_the_first_decoded_picture_is_not_shown():
    timeline = describe(packets_of([2, 0, 1, 3]), first_pts=2)
    assert timeline.num_frames == 2
    assert timeline.start_seconds == 0.2


def counted(times, *, rate=Fraction(10), seconds=0.0):
    """The times are those of frames in display order, on a clock of tenths of a second."""
    packets = packets_of(times)
    base = Fraction(1, 10)
    return counted_timeline(packets, times, time_base=base, rate=rate, seconds=seconds)


@pytest.mark.parametrize("times", [[0, 1, None, 3], [0, 1, 1, 3], [0, 1, -7, 3], [0, 1, 99, 3]])
def test_known_times_stay_and_others_are_filled(times):
    timeline = counted(times, rate=Fraction(4))
    assert timeline.estimated
    assert (timeline.num_frames, timeline.num_filled) == (4, 1)
    assert timeline.frame_rate == 10  # of what is known, not the guess
    assert (timeline.last_seconds, timeline.duration_seconds) == (0.3, 0.4)
    assert timeline.ticks == b""


def test_varying_times_are_kept_in_the_row():
    timeline = counted([5, 6, 36, None, 40])
    assert unpacked(timeline.ticks, 5) == [5, 6, 36, 38, 40]
    assert timeline.start_seconds == 0.5
    assert timeline.last_seconds == 3.5
    assert timeline.variable_rate


def test_a_guessed_rate_yields_to_the_duration():
    none = [None] * 100
    assert counted(none, seconds=10.0).frame_rate == 10
    assert counted(none, seconds=4.0).frame_rate == 25
    assert counted(none, rate=None, seconds=2.0).frame_rate == 50
    assert counted(none, rate=None).frame_rate == 25
    assert counted(none).num_filled == 100


def test_a_second_field_makes_its_picture_longer():
    packets = PacketList()
    for pts in (0, 2):
        packets.add(pts=pts, duration=1, key=pts == 0)
        packets.add_second_field(1)
    timeline = describe(packets, rate=Fraction(10))
    assert (timeline.num_frames, timeline.duration_seconds, timeline.frame_rate) == (2, 0.4, 5)


def test_variable_rate_is_more_than_rounding():
    base = Fraction(1, 1000)
    rounded = packets_of([0, 33, 67, 100, 133], duration=33)
    varying = packets_of([0, 80, 170, 270], duration=80)
    assert not describe(rounded, time_base=base, rate=Fraction(30)).variable_rate
    timeline = describe(varying, time_base=base, rate=Fraction(30))
    assert timeline.variable_rate
    assert timeline.frame_rate == pytest.approx(4 / 0.35)


def test_a_cut_off_packet_is_not_shown_and_a_damaged_one_is():
    packets = packets_of([0, 1])
    packets.add(pts=2, duration=1, key=False, damaged=True)
    assert describe(packets).num_frames == 3
    packets.add(pts=3, duration=1, key=False, cut_off=True)
    assert describe(packets).num_frames == 3
    assert describe(packets).damaged


def test_a_clock_that_is_no_whole_number():
    timeline = describe(packets_of([0, 1]), time_base=Fraction(1001, 30000))
    assert timeline.ticks_per_second == 0
    assert timeline.duration_seconds == pytest.approx(2 * 1001 / 30000)


@given(
    gaps=st.lists(st.integers(1, 500), min_size=0, max_size=30),
    start=st.integers(-1000, 1000),
    duration=st.integers(0, 100),
    rate=st.none() | st.fractions(1, 120),
)
def test_every_time_before_the_end_has_a_frame(gaps, start, duration, rate):
    times = [start]
    for gap in gaps:
        times.append(times[-1] + gap)
    base = Fraction(1, 600)
    timeline = describe(
        packets_of(times, duration=duration), first_pts=start, time_base=base, rate=rate
    )
    assert timeline.num_frames == len(times)
    assert timeline.start_seconds == float(start * base)
    assert timeline.duration_seconds > float((times[-1] - start) * base) - 1e-9
    assert timeline.duration_seconds > 0
    assert timeline.frame_rate > 0
    assert timeline.keyframe_seconds >= max([(b - a) / 600 for a, b in pairwise(times)], default=0)
