import pytest

from vidmoco.video.packet_list import PacketList


def packets_of(times, *, keys=(0,), duration=1, **flags):
    """Packets in decode order; ``keys`` are positions."""
    packets = PacketList()
    for position, pts in enumerate(times):
        packets.add(pts=pts, duration=duration, key=position in keys, **flags)
    return packets


@pytest.mark.parametrize(
    ("times", "reorders", "doubtful"),
    [
        ([0, 1, 2, 3], False, False),
        ([0, 3, 1, 2], True, False),
        ([0, 3, 1, 2], False, True),
        ([0, 1, 1, 3], False, True),
        ([0, None, 2, 3], True, True),
        ([0, 3, 1, 2, 60, 4, 5], True, True),
        ([0, 3, 1, 2, 4, 7, 5, 6, 9, 10, 8, 14, 12, 13], True, False),  # 11 was dropped
        ([0, 6, 2, 4, 8, 14, 11, 12, 18, 20, 16, 26, 22, 24], True, True),  # 10 is late
    ],
)
def test_doubts_about_times(times, reorders, doubtful):
    assert packets_of(times).is_doubtful(reorders=reorders) == doubtful


def test_times_of_decoding_are_put_off():
    """A drop stands where the decoder returns a picture, not where its packet stands."""
    packets = packets_of([0, 1, 2, 3, 5, 6])
    assert packets.delayed(0) == [0, 1, 2, 3, 5, 6]
    assert packets.delayed(2) == [0, 1, 3, 4, 5, 6]


def test_recordings_put_end_to_end_have_no_common_clock():
    """Groups of pictures at 0, 12, 24 and then again at 6, 18: the second clock starts anew."""
    packets = PacketList()
    for start in (0, 12, 24, 6, 18):
        for pts in range(start, start + 12, 2):
            packets.add(pts=pts + (start < 24 and start % 12 == 6), duration=2, key=pts == start)
    assert packets.jumps
    ordered = PacketList()
    for start in (0, 12, 24):
        for step in (4, 2, 6, -2, 8):  # B-frames, and one that leads its key frame
            ordered.add(pts=start, duration=2, key=True) if step == 4 else None
            ordered.add(pts=start + step, duration=2, key=False)
    assert not ordered.jumps


def test_recordings_put_end_to_end_are_sorted_group_by_group():
    packets = packets_of([10, 13, 11, 12, 14, 17, 15, 16, 0, 3, 1, 2], keys=(0, 4, 8))
    assert packets.jumps
    assert packets.joined() == [*range(10, 18), *range(4)]
    assert packets_of([10, 13, 13, 12, 0, 1], keys=(0, 4)).joined() == []
    assert packets_of([10, None, 12], keys=(0,)).joined() == []
    assert packets_of([900, 11, 12, 13, 14, 0, 1], keys=(0, 5)).joined() == []


def test_a_clock_that_jumps_ahead_begins_another_recording():
    """By more than is usual in a format without an index; elsewhere a gap stays a gap."""
    for most_gap in (0, 10):
        packets = PacketList(most_gap=most_gap)
        for pts in (5, 7, 6, 8, 11, 9, 10, 100, 102, 101):
            packets.add(pts=pts, duration=1, key=pts in (5, 8, 100))
        assert packets.jumps == bool(most_gap)
    assert packets.joined() == [*range(5, 12), 12, 13, 14]
