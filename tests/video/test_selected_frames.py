import math
import os
from functools import cache
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given
from hypothesis import strategies as st
from painted_videos import read_index
from shot_videos import write_scenes
from wide_videos import damaged, info_of

from vidmoco.config.frame_selection import ClipSelection, FrameSelection
from vidmoco.errors import VideoError
from vidmoco.video import selected_frames
from vidmoco.video.frame_numbers import FrameNumbers
from vidmoco.video.frames import UNKNOWN
from vidmoco.video.selected_frames import select_frames
from vidmoco.video.sequential_reader import iter_frames

KINDS = {
    "plain.mp4": {},  # read by the forward reader
    "open.mp4": {"open_gop": True},
    "phone.mp4": {"hidden_frames": 5},
    "vfr.mkv": {"times": [n / 10 + (n % 3) / 50 for n in range(60)]},
    "hevc.mp4": {"codec": "libx265", "open_gop": True},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 0},
    "no_times.avi": {},
    "stream.ts": {"start_seconds": 3.0},
    "dvd.mpg": {"codec": "mpeg2video", "fps": 25},
    "refresh.mp4": {
        "b_frames": 0,
        "codec_options": {"x264-params": "intra-refresh=1:keyint=12"},
    },
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")

    @cache
    def video(name):
        return info_of(folder / name, **({"num_frames": 60, "size": (96, 64)} | KINDS[name]))

    @cache
    def frames(name):
        """(seconds, index, is key) of all frames in a pass from the start."""
        with av.open(str(video(name).path)) as container:
            stream = container.streams.video[0]
            keys = [frame.key_frame for frame in container.decode(stream)]
        shown = [(seconds, read_index(picture)) for seconds, picture in iter_frames(video(name))]
        return [(*one, key) for one, key in zip(shown, keys[-len(shown) :], strict=True)]

    return video, frames


@cache
def times_of(video):
    return [seconds for seconds, _ in iter_frames(video)]


def read(video, selection):
    selected = select_frames(video, selection)
    numbers, found = FrameNumbers(video), []
    for seconds, picture, number in selected.frames:
        found.append((seconds, read_index(picture)))
        place = times_of(video).index(seconds)
        assert (numbers.at(seconds) if number == UNKNOWN else number) == place
    assert selected.damage == []
    return found


def expected(frames, duration, selection):
    """What a pass from the start would give, by the words of the help."""
    start, end = selection.start, selection.end or math.inf
    ends = [seconds for seconds, *_ in frames[1:]] + [math.inf]
    shown = [
        (frame, until)
        for frame, until in zip(frames, ends, strict=True)
        if until > start + 1e-6 and frame[0] < end - 1e-6
    ]

    def at(time):
        return [frame for frame in frames if frame[0] <= time + 1e-6][-1][:2]

    stop = min(end, duration)
    if selection.times:
        return [at(time) for time in sorted(selection.times) if start <= time < end]
    if selection.num_frames is not None:
        part = (stop - start) / selection.num_frames
        times = [start + (i + 0.5) * part for i in range(selection.num_frames)]
        return list(dict.fromkeys(at(time) for time in times))
    if selection.fps is not None:
        count = math.ceil((stop - start) * selection.fps - 1e-6)
        return list(dict.fromkeys(at(start + i / selection.fps) for i in range(max(1, count))))
    if selection.keyframes:
        return [f[:2] for f in frames if f[2] and start - 1e-6 <= f[0] < end - 1e-6]
    return [frame[:2] for frame, _ in shown][:: selection.every]


whole_range = st.tuples(st.floats(0, 1.5), st.floats(1.6, 5) | st.none())
ways = st.one_of(
    st.builds(dict),
    st.builds(dict, every=st.integers(2, 30)),
    st.builds(dict, fps=st.sampled_from([0.3, 0.5, 1, 3, 50])),
    st.builds(dict, num_frames=st.integers(1, 80)),
    st.builds(dict, times=st.lists(st.floats(0, 2.3), min_size=1, max_size=9).map(tuple)),
)


@pytest.mark.parametrize("name", KINDS)
@given(way=ways, within=st.just((0.0, None)) | whole_range)
def test_frames_and_times_are_those_of_a_full_pass(videos, name, way, within):
    start, end = within
    selection = FrameSelection(**way, start=start, end=end)
    video, frames = videos[0](name), videos[1](name)
    wanted = expected(frames, video.duration_seconds, selection)
    if not wanted:
        with pytest.raises(VideoError, match="none of its times"):
            read(video, selection)
        return
    assert read(video, selection) == wanted


@pytest.mark.parametrize("within", [(0, None), (1.25, None), (0, 2.0), (1.2, 2.4)])
@pytest.mark.parametrize("name", KINDS)
def test_key_frames_are_those_that_the_decoder_names(videos, name, within):
    selection = FrameSelection(keyframes=True, start=within[0], end=within[1])
    video, frames = videos[0](name), videos[1](name)
    wanted = expected(frames, video.duration_seconds, selection)
    if wanted:
        assert read(video, selection) == wanted
    else:
        with pytest.raises(VideoError, match="names no key frame between"):
            read(video, selection)


def test_the_container_claims_more_key_frames_than_there_are(videos):
    with av.open(str(videos[0]("refresh.mp4").path)) as container:
        claimed = [packet for packet in container.demux(video=0) if packet.is_keyframe]
    assert len(claimed) > 1
    assert read(videos[0]("refresh.mp4"), FrameSelection(keyframes=True)) == [(0.0, 0)]


def test_only_key_frames_are_decoded(videos, monkeypatch):
    decoded = []
    honest = selected_frames.decode_packet

    def counting(*arguments):
        frames, error = honest(*arguments)
        decoded.extend(frames)
        return frames, error

    monkeypatch.setattr(selected_frames, "decode_packet", counting)
    assert len(read(videos[0]("plain.mp4"), FrameSelection(keyframes=True))) == 5
    assert len(decoded) == 5


def test_all_frames_are_decoded_if_a_key_frame_is_unusual(videos, monkeypatch):
    video = videos[0]("plain.mp4")
    expected = read(video, FrameSelection(keyframes=True))
    passes = []
    honest = selected_frames.decoded_frames
    monkeypatch.setattr(
        selected_frames, "decoded_frames", lambda *a: passes.append(a) or honest(*a)
    )
    assert read(video, FrameSelection(keyframes=True)) == expected
    assert not passes
    monkeypatch.setattr(selected_frames, "PictureType", SimpleNamespace(I=PictureType.P))
    assert read(video, FrameSelection(keyframes=True)) == expected
    assert len(passes) == 1


def test_few_frames_of_a_long_video_are_read_by_seeking(videos, monkeypatch):
    """Only the groups of the wanted frames are decoded."""
    from vidmoco.video import frame_stream

    packets = []
    honest = frame_stream.decode_packet

    def counting(stream, packet):
        packets.append(packet)
        return honest(stream, packet)

    monkeypatch.setattr(frame_stream, "decode_packet", counting)
    for selection in (
        FrameSelection(times=(5.5,)),
        FrameSelection(start=5.5, end=5.7),
        FrameSelection(fps=0.2, start=5.5),
    ):
        packets.clear()
        assert read(videos[0]("open.mp4"), selection)[0] == (5.5, 55)
        assert 0 < len(packets) < 40


@pytest.mark.parametrize("way", [{"every": 1}, {"times": (0.5, 3.9)}, {"num_frames": 4}])
def test_damaged_frames_are_left_out_and_told(tmp_path, way):
    video = damaged(tmp_path / "a.mp4", share=0.5)
    selected = select_frames(video, FrameSelection(**way, end=10.0))
    times = [seconds for seconds, *_ in selected.frames]
    assert len(times) > 0 and max(times) < 3.9
    (line,) = selected.damage
    assert line.startswith(f"{video.path}: damaged frames left out: ")


def test_a_damaged_key_frame_costs_only_itself(tmp_path):
    video = info_of(tmp_path / "a.mp4", gop=10, b_frames=0)
    with av.open(str(video.path)) as opened:
        packet = [packet for packet in opened.demux(video=0) if packet.size][10]
    data = bytearray(video.path.read_bytes())
    data[packet.pos + 8 : packet.pos + packet.size] = bytes(packet.size - 8)
    video.path.write_bytes(data)
    os.utime(video.path, ns=(video.mtime_ns, video.mtime_ns))
    selected = select_frames(video, FrameSelection(keyframes=True))
    assert [read_index(picture) for _, picture, _ in selected.frames] == [0, 20, 30]
    assert "the first at 1.000 s" in selected.damage[0]


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ({"times": (1.0, 99.0)}, r"it ends at 6\.000 s, and has no frame at 99 s"),
        ({"start": 6.0}, r"it ends at 6\.000 s, and --start is 6"),
        (
            {"keyframes": True, "start": 5.5},
            "its decoder names no key frame between --start and --end",
        ),
        ({"times": (1.0,), "start": 2.0}, "none of its times is between --start and --end"),
    ],
)
def test_a_selection_that_finds_nothing_is_refused(videos, way, reason):
    with pytest.raises(VideoError, match=rf"plain\.mp4: {reason}\.$"):
        list(select_frames(videos[0]("plain.mp4"), FrameSelection(**way)).frames)


def of_clips(video, *clips, **way):
    return [index for _, index in read(video, ClipSelection(clips=clips, **way))]


def test_a_clip_ends_at_the_latest_where_the_video_ends(videos):
    video = videos[0]("plain.mp4")  # 6 s of 10 frames a second
    assert of_clips(video, (5.0, 9.0), fps=5.0) == [50, 52, 54, 56, 58]
    assert of_clips(video, (5.0, 9.0), num_frames=2) == [52, 57]
    assert of_clips(video, (5.0, 6.05), num_frames=2) == [52, 57]  # within a frame of the end
    assert of_clips(video, (5.0, 5.97), fps=2.0) == [50, 55]
    assert of_clips(video, (5.0, None), num_frames=2) == [52, 57]
    assert of_clips(video, (5.95, 7.0), fps=1.0) == [59]  # begins in the last frame
    assert of_clips(video, (0.0, None), num_frames=2) == [15, 45]
    # Overlaps are taken once, and --start and --end say which part.
    assert of_clips(video, (1.0, 3.0), (2.0, 4.0), fps=1.0) == [10, 20, 30]
    assert of_clips(video, (1.0, 3.0), (2.0, 4.0), fps=1.0, start=1.5, end=3.0) == [20]


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        ((6.0, 7.0), r"from 6\.000 s to 7\.000 s"),
        ((63.25, None), r"from 63\.250 s to its end"),
    ],
)
def test_a_clip_that_begins_after_the_end_is_named(videos, clip, words):
    with pytest.raises(VideoError, match=rf"plain\.mp4: it ends at 6\.000 s, and its clip {words}"):
        of_clips(videos[0]("plain.mp4"), (1.0, 2.0), clip, fps=1.0)


ROUNDED = 4e-7  # seconds, of which a time is too high or too low


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"times": (1.3 - ROUNDED, 1.5 + ROUNDED, 6.0 + ROUNDED)}, [13, 15, 59]),
        ({"start": 1.3 - ROUNDED, "end": 1.5 + ROUNDED}, [13, 14]),
        ({"start": 1.3 + ROUNDED, "end": 1.5 - ROUNDED}, [13, 14]),
        ({"end": 0.2 + 1e-6}, [0, 1]),  # the whole tolerance
        ({"keyframes": True, "start": 1.2 + ROUNDED, "end": 3.6 + ROUNDED}, [12, 24]),
        ({"fps": 10.0, "start": 1.3, "end": 1.5 + ROUNDED / 10}, [13, 14]),
    ],
)
def test_times_at_the_edge_of_a_frame_may_be_rounded(videos, selection, expected):
    found = read(videos[0]("plain.mp4"), FrameSelection(**selection))
    assert [index for _, index in found] == expected


def test_a_frame_of_each_shot(tmp_path):
    video = write_scenes(tmp_path / "a.mp4", 0, 1, 2)  # 20 frames each, at 10 a second

    def times(**options):
        return [round(s, 6) for s, *_ in select_frames(video, FrameSelection(**options)).frames]

    assert times(scenes="first") == [0.0, 2.0, 4.0]
    assert times(scenes="middle") == [1.0, 3.0, 5.0]
    assert times(scenes="first", start=1.0, end=3.0) == [1.0, 2.0]
    assert times(scenes="middle", start=1.0, end=3.0) == [1.5, 2.5]
    assert times(scenes="all", every=25) == [0.0, 2.5, 5.0]
    everything = select_frames(video, FrameSelection(scenes="all", start=1.0))
    np.testing.assert_allclose(everything.shots, [(1, 2), (2, 4), (4, 6)])
