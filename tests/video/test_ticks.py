import numpy as np

from vidmoco.video.ticks import packed, unpacked


def test_times_come_back():
    ticks = np.array([-5, 0, 7, 2**40], np.int64)
    assert unpacked(packed(ticks), 4) == ticks.tolist()
    assert unpacked(b"", 4) == []


def test_even_times_take_few_bytes():
    assert len(packed(np.arange(0, 10**6, 10, dtype=np.int64))) < 2000


def test_no_more_is_unpacked_than_there_are_frames():
    """A row from elsewhere may hold little that unpacks to much."""
    assert len(unpacked(packed(np.arange(10**6, dtype=np.int64)), 10)) == 10
