import math
import random

import pytest
from painted_videos import read_index, write_video
from wide_videos import info_of

from vidmoco.errors import VideoError
from vidmoco.video import seek_reader
from vidmoco.video.frame_stream import Lost
from vidmoco.video.probe import probe_video
from vidmoco.video.seek_reader import SeekReader

CASES = {
    "closed.mp4": {"gop": 12},
    "closed.mkv": {"gop": 12},
    "open.mp4": {"open_gop": True, "gop": 10},
    "open.mkv": {"open_gop": True, "gop": 10},
    "hevc.mp4": {"codec": "libx265", "gop": 10},
    "open-hevc.mp4": {"codec": "libx265", "gop": 10, "open_gop": True},
    "long.mp4": {"gop": 1000},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mkv": {"codec": "libsvtav1"},
    "h264.ts": {"gop": 12},
    "open.ts": {"gop": 12, "open_gop": True},
    "mpeg2.ts": {"codec": "mpeg2video", "fps": 25},
    "mpeg2.mpg": {"codec": "mpeg2video", "fps": 25},
    "h264.avi": {},
    "b-frames.avi": {"codec": "mpeg4", "b_frames": 2},
    "plain.avi": {"codec": "mpeg4", "b_frames": 0},
    "b-frames.mov": {"codec": "mpeg4", "b_frames": 2},
    "h264.flv": {},
    "wmv.asf": {"codec": "wmv2"},
    "animated.gif": {"codec": "gif", "pixel_format": "rgb8"},
    "late.mkv": {"start_seconds": 5.0},
    "late.mp4": {"start_seconds": 5.0},
    "trimmed.mp4": {"hidden_frames": 17},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "444.mp4": {"pixel_format": "yuv444p"},
}


@pytest.mark.parametrize("name", CASES)
def test_every_time_gives_the_shown_frame(tmp_path, name):
    """Each frame from a fresh reader, in random order, at its time and just before its end."""
    options = {"num_frames": 60, "fps": 10} | CASES[name]
    times = write_video(tmp_path / name, **options)
    hidden = options.get("hidden_frames", 0)
    video = probe_video(tmp_path / name, root=tmp_path)
    assert video.num_frames == 60 - hidden
    order = list(range(hidden, 60))
    random.Random(name).shuffle(order)
    for index in order[:20]:
        with SeekReader(video) as reader:
            began, frame = reader.at(times[index])
            assert read_index(reader.rgb(frame)) == index
            assert began == pytest.approx(times[index], abs=0.002)  # a clock of milliseconds
            end = began + 0.9 / options["fps"]
            assert read_index(reader.rgb(reader.at(end)[1])) == index


@pytest.mark.parametrize("name", ["open.mp4", "h264.ts", "b-frames.avi", "closed.mkv"])
def test_one_reader_for_many_growing_times(tmp_path, name):
    times = write_video(tmp_path / name, **({"num_frames": 60} | CASES[name]))
    video = probe_video(tmp_path / name, root=tmp_path)
    wanted = [0, 0, 1, 5, 6, 21, 22, 40, 59, 59]
    with SeekReader(video) as reader:
        read = [read_index(reader.rgb(reader.at(times[index])[1])) for index in wanted]
    assert read == wanted


def test_a_frame_that_only_a_seek_has_lost_is_read(tmp_path):
    """It is read again from further back."""
    times = write_video(tmp_path / "a.mp4", num_frames=60, gop=10)
    video = probe_video(tmp_path / "a.mp4", root=tmp_path)
    with SeekReader(video) as reader:
        assert read_index(reader.rgb(reader.at(times[33])[1])) == 33
        reader._ahead = reader._ahead[0], Lost("what it needs was skipped")
        assert read_index(reader.rgb(reader.at(times[34])[1])) == 34


def test_a_seek_that_lands_too_late_is_not_believed(tmp_path, monkeypatch):
    """The reader goes to the start of the file."""
    times = write_video(tmp_path / "a.mp4", num_frames=60, open_gop=True, gop=10)
    video = probe_video(tmp_path / "a.mp4", root=tmp_path)
    seek = SeekReader._seek
    late = []

    def seek_too_far(reader, seconds, *, until):
        late.append(seconds)
        return seek(reader, 5.5, until=9.9)

    monkeypatch.setattr(SeekReader, "_seek", seek_too_far)
    for index in (25, 42):
        with SeekReader(video) as reader:
            assert read_index(reader.rgb(reader.at(times[index])[1])) == index
    assert late


def test_after_the_end_is_the_last_frame(tmp_path):
    times = write_video(tmp_path / "a.ts", num_frames=30)
    video = probe_video(tmp_path / "a.ts", root=tmp_path)
    with SeekReader(video) as reader:
        began, frame = reader.at(1000.0)
        assert read_index(reader.rgb(frame)) == 29
        assert began == pytest.approx(times[29])


def test_damage_is_an_error(tmp_path):
    write_video(
        tmp_path / "a.mp4",
        num_frames=60,
        gop=100,
        b_frames=0,  # the packet that is cut is the last that is shown
        container_options={"movflags": "faststart"},
        codec_options={"crf": "1"},
    )
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) * 3 // 4])
    video = probe_video(tmp_path / "a.mp4", root=tmp_path)
    with SeekReader(video) as reader:
        assert read_index(reader.rgb(reader.at(0.5)[1])) == 5
        with pytest.raises(VideoError, match="damaged"):
            reader.at(1000.0)


@pytest.mark.parametrize("start", [0.0, 0.05, 1.3, 2.4, 3.95])
def test_all_frames_from_a_time_on(tmp_path, start):
    video = info_of(tmp_path / "a.mp4")
    with SeekReader(video) as reader:
        found = [(round(s, 6), read_index(reader.rgb(frame))) for s, frame in reader.frames(start)]
    assert found == [(n / 10, n) for n in range(math.floor(start * 10), 40)]


def test_damage_soon_after_a_seek_is_looked_at_again(tmp_path, monkeypatch):
    """A decoder may report damage where pictures need some that the seek skipped."""
    video = info_of(tmp_path / "a.mp4")
    honest = seek_reader.decoded_frames

    def doubtful(*arguments, after_seek=False, **options):
        frames = honest(*arguments, after_seek=after_seek, **options)
        for number, (seconds, frame) in enumerate(frames):
            is_lost = after_seek and 4 <= number <= 6
            yield seconds, Lost("it needs skipped pictures") if is_lost else frame

    monkeypatch.setattr(seek_reader, "decoded_frames", doubtful)
    with SeekReader(video) as reader:
        found = [read_index(reader.rgb(frame)) for _, frame in reader.frames(2.5)]
    assert found == list(range(25, 40))
