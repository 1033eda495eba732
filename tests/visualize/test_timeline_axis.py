import numpy as np
import pytest
from explore_features import feature_set, random_features, write_features

from vidmoco.features.feature_set import open_features
from vidmoco.visualize.timeline_axis import TimeAxis


def axis_of(folder, times, *, length=100):
    for name in ("0.mp4", "1.mp4"):
        source = folder / "gone" / name
        write_features(folder / f"{name}.npy", random_features(len(times)), times, source=source)
    return TimeAxis(open_features(folder), 1, length=length)


def test_a_frame_is_shown_until_the_next(tmp_path):
    axis = axis_of(tmp_path, [0.0, 1.0, 6.0, 7.0])  # and the last one for 1 s
    assert (axis.first_row, axis.seconds) == (4, 8.0)
    assert axis.rows(8).tolist() == [4, 5, 5, 5, 5, 5, 6, 7]
    assert axis.rows(2).tolist() == [5, 6]
    assert axis.pixel(6.0) == 75
    assert axis.ticks(4) == [(0, "0"), (25, "2"), (50, "4"), (75, "6"), (100, "8")]


def test_times_that_begin_late(tmp_path):
    axis = axis_of(tmp_path, [10.2, 10.7, 11.2])
    assert axis.seconds == pytest.approx(1.5)
    assert [text for _, text in axis.ticks(3)] == ["10.5", "11", "11.5"]
    assert axis.ticks(3)[0][0] == pytest.approx(20)


def test_one_frame(tmp_path):
    axis = TimeAxis(feature_set(tmp_path, np.ones((1, 2), np.float32)), 0, length=10)
    assert (axis.seconds, axis.rows(3).tolist()) == (1.0, [0, 0, 0])
