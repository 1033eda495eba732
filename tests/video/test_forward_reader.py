import dataclasses

import numpy as np
import pytest
from painted_videos import read_index, write_video
from wide_videos import WIDE, damaged, info_of

from vidmoco.config.limits import Limits
from vidmoco.video import forward_reader as forward
from vidmoco.video.decode import read_frames
from vidmoco.video.forward_reader import ForwardReader, reads_forward
from vidmoco.video.probe import probe_video
from vidmoco.workers import process


def indices(frames):
    return [read_index(image) for image in frames.images]


def read(video, *times):
    return ForwardReader().read(video, np.array(times))


@pytest.fixture
def decoded(monkeypatch):
    """Counts the pictures that decoders give."""
    count = []
    listening = forward.decode_listening

    def counting(decode, **options):
        frames, error = listening(decode, **options)
        count.append(len(frames))
        return frames, error

    monkeypatch.setattr(forward, "decode_listening", counting)
    return count


def test_plain_h264_and_nothing_else(tmp_path):
    assert reads_forward(info_of(tmp_path / "a.mp4"))
    assert reads_forward(info_of(tmp_path / "a.mkv", size=(96, 64)))  # decord's limits are not its
    for name, options in {
        "b.ts": {},
        "b.webm": {"codec": "libvpx-vp9"},
        "open.mp4": {"open_gop": True},
        "trimmed.mp4": {"hidden_frames": 9},
        "444.mp4": {"pixel_format": "yuv444p"},
    }.items():
        video = info_of(tmp_path / name, **options)
        assert not reads_forward(video)
        assert read(video, 0.5) is None
    (tmp_path / "empty.mp4").touch()
    assert not reads_forward(probe_video(tmp_path / "empty.mp4", root=tmp_path))


@pytest.mark.parametrize("gop", [1, 7, 12, 1000])
def test_frames_of_several_groups_in_one_pass(tmp_path, gop, decoded):
    video = info_of(tmp_path / "a.mp4", gop=gop)
    frames = read(video, 0.0, 0.05, 0.3, 1.14, 1.2, 2.75, 3.9, 100.0)
    assert indices(frames) == [0, 0, 3, 11, 12, 27, 39, 39]
    assert frames.pts_seconds.tolist() == pytest.approx([0, 0, 0.3, 1.1, 1.2, 2.7, 3.9, 3.9])
    assert sum(decoded) == 6  # each wanted frame once


def test_a_time_before_the_first_frame_is_the_first_frame(tmp_path):
    assert indices(read(info_of(tmp_path / "a.mp4"), -1.0, 0.0)) == [0, 0]


class Counting:
    """A decoder that counts the pictures that come out of it."""

    def __init__(self, context):
        self.context, self.count = context, 0

    def flush_buffers(self):
        self.context.flush_buffers()

    def decode(self, packet):
        self.context.skip_frame = self.skip_frame
        frames = self.context.decode(packet)
        self.count += len(frames)
        return frames


def test_what_nobody_needs_is_not_decoded(tmp_path):
    video = info_of(tmp_path / "a.mp4", gop=40)
    with forward.open_video(video.path) as (container, stream):
        (group,) = forward._groups(container, stream, video)
        last = max(packet.pts for packet in group)
        counts = []
        for wanted in ({last}, {packet.pts for packet in group}):
            context = Counting(stream.codec_context)
            frames = list(forward._decode(context, group, wanted))
            assert {frame.pts for frame in frames} == wanted
            counts.append(context.count)
    assert counts[0] < 30
    assert counts[1] == 40


def test_far_groups_are_jumped_over(tmp_path, monkeypatch):
    video = info_of(tmp_path / "a.mp4", num_frames=200, gop=10)
    groups, read_groups = [], forward._groups

    def counting(*args):
        for group in read_groups(*args):
            groups.append(group)
            yield group

    monkeypatch.setattr(forward, "_groups", counting)
    assert indices(read(video, 0.5, 15.5, 19.9)) == [5, 155, 199]
    assert len(groups) < 12  # of 20


def test_a_long_group_gives_signs_of_life(tmp_path, monkeypatch):
    video = info_of(tmp_path / "a.mp4", num_frames=200, gop=200)
    signs = []
    monkeypatch.setattr(process, "_LISTENERS", [lambda: signs.append(1)])
    assert indices(read(video, 19.9)) == [199]
    assert len(signs) >= 6


def test_a_very_large_group_is_declined(tmp_path, monkeypatch):
    video = info_of(tmp_path / "a.mp4", num_frames=40, gop=40)
    assert indices(read(video, 0.1)) == [1]
    monkeypatch.setattr(forward, "_MAX_GROUP_BYTES", video.num_bytes // 2)
    assert read(video, 0.1) is None


def test_damage_is_declined(tmp_path):
    video = damaged(tmp_path / "a.mp4", share=0.5)
    assert indices(read(video, 0.1, 0.4)) == [1, 4]
    assert read(video, 0.1, 3.9) is None
    missing = dataclasses.replace(video, root=str(tmp_path / "gone"))
    assert read(missing, 0.1) is None


def test_a_time_that_only_the_next_group_could_show(tmp_path):
    """The reader takes the scan at its word, and sees when the file is another."""
    video = info_of(tmp_path / "a.mp4")
    write_video(tmp_path / "open.mp4", num_frames=40, size=WIDE, open_gop=True)
    other = dataclasses.replace(video, key="open.mp4")
    assert read(other, 2.0) is None


def test_limits_hold(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    assert ForwardReader(Limits(max_pixels=1000)).read(video, np.array([0.0])) is None


def test_hunger_for_memory_is_the_callers_to_handle(tmp_path, monkeypatch):
    def hungry(*args, **options):
        raise MemoryError

    video = info_of(tmp_path / "a.mp4")
    monkeypatch.setattr(forward, "decode_listening", hungry)
    with pytest.raises(MemoryError):
        read(video, 1.0)


@pytest.mark.parametrize("rotation", [90, 270])
def test_turned_pictures(tmp_path, rotation):
    video = info_of(tmp_path / "a.mp4", rotation=rotation)
    times = [0.5, 2.0]
    frames, exact = read(video, *times), read_frames(video, times)
    assert indices(frames) == [5, 20]
    np.testing.assert_array_equal(frames.images, exact.images)
