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
    assert packets.jumps_back
    ordered = PacketList()
    for start in (0, 12, 24):
        for step in (4, 2, 6, -2, 8):  # B-frames, and one that leads its key frame
            ordered.add(pts=start, duration=2, key=True) if step == 4 else None
            ordered.add(pts=start + step, duration=2, key=False)
    assert not ordered.jumps_back


def test_recordings_put_end_to_end_are_sorted_group_by_group():
    packets = packets_of([10, 13, 11, 12, 14, 17, 15, 16, 0, 3, 1, 2], keys=(0, 4, 8))
    assert packets.jumps_back
    assert packets.joined() == [*range(10, 18), *range(4)]
    assert packets_of([10, 13, 13, 12, 0, 1], keys=(0, 4)).joined() == []
    assert packets_of([10, None, 12], keys=(0,)).joined() == []
    assert packets_of([900, 11, 12, 13, 14, 0, 1], keys=(0, 5)).joined() == []
