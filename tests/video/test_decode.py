import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from painted_videos import paint, read_index, write_video
from wide_videos import WIDE, damaged, info_of

from vidmoco.errors import VideoError
from vidmoco.video.decode import read_frames
from vidmoco.video.frames import Frames
from vidmoco.video.probe import probe_video
from vidmoco.video.seek_reader import SeekReader
from vidmoco.video.sequential_reader import iter_frames

PYAV = {
    "open.mp4": {"open_gop": True},
    "h264.ts": {},
    "h264.avi": {},
    "trimmed.mp4": {"hidden_frames": 9},
    "turned.mp4": {"rotation": 90, "size": (96, 64)},
    "stretched.mkv": {"start_seconds": 5.0},
}


@pytest.mark.parametrize("name", PYAV)
def test_frames_through_pyav(tmp_path, name):
    video = info_of(tmp_path / name, **PYAV[name])
    assert video.route == "pyav"
    first = PYAV[name].get("hidden_frames", 0)
    shown = list(iter_frames(video))
    assert [read_index(picture) for _, picture in shown] == list(range(first, 40))
    assert shown[0][0] == 0.0
    order = np.random.default_rng(0).permutation(len(shown)).tolist()[:12]
    frames = read_frames(video, [shown[index][0] for index in order])
    assert [read_index(image) - first for image in frames.images] == order
    assert frames.pts_seconds.tolist() == [shown[index][0] for index in order]


@pytest.fixture(scope="module")
def varying(tmp_path_factory):
    """A video of varying rate, and when its frames are shown."""
    times = [0.0, 0.1, 0.133, 0.4, 0.401, 0.9, 1.0, 1.5]
    path = tmp_path_factory.mktemp("varying") / "a.mkv"
    write_video(path, times=times, size=WIDE)
    return probe_video(path, root=path.parent), times


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    asked=st.lists(st.floats(-0.5, 2.5) | st.sampled_from([0.1, 0.133, 0.401, 1.5]), max_size=5),
)
def test_the_shown_frame_is_the_last_that_began(varying, asked):
    video, times = varying
    frames = read_frames(video, asked)
    expected = [max([i for i, time in enumerate(times) if time <= t], default=0) for t in asked]
    assert [read_index(image) for image in frames.images] == expected
    np.testing.assert_array_equal(frames.pts_seconds, [times[index] for index in expected])
    assert frames.images.shape == (len(asked), 192, 256, 3)


def test_a_time_just_before_a_frame_is_the_one_before(varying):
    video, times = varying
    before = [float(np.nextafter(time, 0)) for time in times[1:]]
    frames = read_frames(video, before)
    assert [read_index(image) for image in frames.images] == list(range(7))


def test_times_that_are_no_numbers(varying):
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            read_frames(varying[0], [0.0, bad])


def test_files_that_are_not_as_scanned(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    os.utime(video.path, ns=(1, 1))
    with pytest.raises(VideoError, match=r"a\.mp4: the file has changed since it was scanned"):
        read_frames(video, [0.0])
    video.path.unlink()
    with pytest.raises(VideoError, match=r"a\.mp4: No such file"):
        read_frames(video, [0.0])
    (tmp_path / "b.mp4").touch()
    refused = probe_video(tmp_path / "b.mp4", root=tmp_path)
    with pytest.raises(VideoError, match=r"b\.mp4: the file is empty"):
        read_frames(refused, [0.0])


class Declining:
    """A fast reader that is asked, and declines."""

    def __init__(self):
        self.asked = []

    def read(self, video, times):
        self.asked.append(times.tolist())


def test_a_fast_reader_is_asked_once_for_growing_times(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    reader = Declining()
    assert read_index(read_frames(video, [2.0, 1.0, 2.0], fast=reader).images[0]) == 20
    assert reader.asked == [[1.0, 2.0]]
    assert len(read_frames(video, [], fast=reader).images) == 0
    assert len(reader.asked) == 1


def test_what_a_fast_reader_gives_is_put_in_order(tmp_path):
    class Fast:
        def read(self, video, times):
            return Frames(np.stack([paint(int(t), size=WIDE) for t in times]), times)

    video = info_of(tmp_path / "a.mp4")
    frames = read_frames(video, [3.0, 1.0, 3.0], fast=Fast())
    assert [read_index(image) for image in frames.images] == [3, 1, 3]
    assert frames.pts_seconds.tolist() == [3.0, 1.0, 3.0]


def test_hunger_for_memory_is_the_callers_to_handle(tmp_path, monkeypatch):
    def hungry(*args):
        raise MemoryError

    video = info_of(tmp_path / "a.mp4")
    monkeypatch.setattr(SeekReader, "at", hungry)
    with pytest.raises(MemoryError):
        read_frames(video, [1.0])


def test_damage_names_the_file(tmp_path):
    video = damaged(tmp_path / "a.mp4", share=0.5)
    assert read_index(read_frames(video, [0.3]).images[0]) == 3
    with pytest.raises(VideoError, match=r"a\.mp4: it is damaged at 3\.900 s") as caught:
        read_frames(video, [3.9])
    assert "\n" not in str(caught.value)
