from types import SimpleNamespace

import av
import pytest
from painted_videos import read_index, write_video

from vidmoco.video.bitstream import Facts
from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.frame_stream import (
    NOT_DECODED,
    Due,
    Lost,
    coded_size,
    decoded_frames,
    start_ticks,
)
from vidmoco.video.probe import probe_video

WIDE = (256, 192)


def packets_of(path):
    """(bytes of the packet in the file, frame it shows at 10 fps, key) of each packet of an MP4."""
    with av.open(str(path)) as opened:
        stream = opened.streams.video[0]
        return [
            (slice(packet.pos, packet.pos + packet.size), packet.pts, packet.is_keyframe)
            for packet in opened.demux(stream)
            if packet.size
        ]


def damage(path, *, frame, at=0.5):
    """Overwrite the packet of a frame from a share of it on, so that its decoder fails."""
    ticks = {pts: where for where, pts, _ in packets_of(path)}
    where = ticks[sorted(ticks)[frame]]
    data = bytearray(path.read_bytes())
    start = where.start + int((where.stop - where.start) * at)
    data[start : where.stop] = bytes(where.stop - start)
    path.write_bytes(data)


def shown(path, **options):
    """What a decode yields: the painted index, or the reason of a lost frame, by frame number."""
    video = probe_video(path, root=path.parent)
    result = {}
    with open_video(path) as (container, stream):
        for seconds, frame in decoded_frames(container, stream, video, **options):
            number = round(seconds * 10)
            assert number not in result
            result[number] = (
                frame if isinstance(frame, Lost) else read_index(to_rgb(frame, coded_size=WIDE))
            )
    assert list(result) == sorted(result)
    return result


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_an_undamaged_video(tmp_path, name):
    write_video(tmp_path / name, num_frames=30, size=WIDE)
    assert shown(tmp_path / name) == {index: index for index in range(30)}


def test_damage_lasts_until_the_next_key_frame(tmp_path):
    """Frames 10 to 19 are a group; what was decoded before the damage is shown, if later."""
    path = tmp_path / "a.mp4"
    write_video(path, num_frames=30, size=WIDE, gop=10, b_frames=0, codec_options={"crf": "5"})
    damage(path, frame=14)
    frames = shown(path)
    good = {index: index for index in [*range(14), *range(20, 30)]}
    assert {index: frame for index, frame in frames.items() if frame == index} == good
    assert all(isinstance(frames[index], Lost) for index in range(14, 20))
    assert len(frames) == 30


def test_pictures_in_front_of_the_damage_in_time_are_kept(tmp_path):
    """Order of decoding: 0 3 1 2 6 4 5 …; with 6 damaged, 3 is good, and 4 and 5 are not.

    (The decoder withholds 2, which it would have given with 6.)
    """
    path = tmp_path / "a.mp4"
    write_video(path, num_frames=12, size=WIDE, gop=100, b_frames=2, codec_options={"crf": "5"})
    order = [pts for _, pts, _ in packets_of(path)]
    assert [sorted(order).index(pts) for pts in order[:7]] == [0, 3, 1, 2, 6, 4, 5]
    damage(path, frame=6)
    frames = shown(path)
    assert [frames[index] for index in (0, 1, 3)] == [0, 1, 3]
    assert frames[2] in (2, Lost(NOT_DECODED))
    assert all(isinstance(frames[index], Lost) for index in range(4, 12))


def test_damage_before_a_key_frame_reaches_its_leading_pictures(tmp_path):
    """Open GOP: what follows a key frame and precedes it on the screen leans on both sides."""
    path = tmp_path / "a.mp4"
    options = {"gop": 12, "open_gop": True, "b_frames": 2, "codec_options": {"crf": "5"}}
    write_video(path, num_frames=36, size=WIDE, **options)
    keys = [pts for _, pts, key in packets_of(path) if key]
    ticks = sorted(pts for _, pts, _ in packets_of(path))
    second_key = ticks.index(keys[1])
    leading = [ticks.index(pts) for _, pts, _ in packets_of(path)[packets_index(path, keys[1]) :]]
    leading = [index for index in leading if index < second_key]
    assert leading  # else the video does not test anything
    damage(path, frame=min(leading) - 1)
    frames = shown(path)
    assert all(isinstance(frames[index], Lost) for index in leading)
    # FFmpeg takes the stream for whole again some frames after a key frame of this kind.
    wrong = [i for i, it in frames.items() if not isinstance(it, Lost) and it != i]
    assert not wrong
    assert [frames[index] for index in range(24, 36)] == list(range(24, 36))


def packets_index(path, pts):
    return [time for _, time, _ in packets_of(path)].index(pts)


def add(due, pts, *, key=False, error="", shown=True):
    packet = SimpleNamespace(pts=pts, is_corrupt=False)
    due.add(packet, Facts(key=key, shown=shown, hidden=not shown), error=error)


def frame(pts):
    picture = av.VideoFrame(16, 16, "rgb24")
    picture.pts = pts
    return picture


def told(due, picture):
    return [(pts, it.reason if isinstance(it, Lost) else "good") for pts, it in due.until(picture)]


def test_a_picture_that_does_not_come_is_missed():
    due = Due(0)
    for pts in (0, 2, 1, 3):
        add(due, pts, key=pts == 0, error="", shown=True)
    assert told(due, frame(0)) == [(0, "good")]
    assert told(due, frame(2)) == [(1, NOT_DECODED), (2, "good")]
    assert list(due.rest()) == [(3, Lost(NOT_DECODED))]


def test_where_pictures_come_at_other_times_none_is_missed():
    due = Due(0)
    for pts in (0, 2, 4):
        add(due, pts, key=pts == 0, error="", shown=True)
    assert told(due, frame(1)) == [(0, NOT_DECODED), (1, "good")]
    assert told(due, frame(3)) == [(3, "good")]
    assert list(due.rest()) == []


def test_hidden_pictures_are_not_missed():
    due = Due(0)
    for pts in range(3):
        add(due, pts, key=pts == 0, error="", shown=pts != 1)
    assert told(due, frame(2)) == [(0, NOT_DECODED), (2, "good")]


def test_errors_in_leading_pictures_stay_with_them():
    """They follow key frame 10 and come before it; after a seek they lack what they lean on."""
    due = Due(0)
    add(due, 10, key=True, error="", shown=True)
    for pts in (8, 9):
        add(due, pts, error="no reference" if pts == 8 else "", shown=True)
    add(due, 11, error="", shown=True)
    assert told(due, frame(10)) == [
        (8, "no reference"),
        (9, "it depends on damaged pictures"),
        (10, "good"),
    ]
    assert told(due, frame(11)) == [(11, "good")]


def test_after_a_seek_frames_begin_with_the_key_frame(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, num_frames=30, size=WIDE, gop=10, open_gop=True)
    video = probe_video(path, root=tmp_path)
    with open_video(path) as (container, stream):
        container.seek(round(1.5 / stream.time_base), stream=stream)
        numbers = [
            round(seconds * 10)
            for seconds, _ in decoded_frames(container, stream, video, after_seek=True)
        ]
    assert numbers == list(range(numbers[0], 30))
    assert 0 < numbers[0] <= 15


def test_without_times_all_after_the_damage_is_lost(tmp_path):
    path = tmp_path / "a.avi"
    write_video(path, codec="mpeg4", b_frames=2, num_frames=30, size=WIDE, gop=10)
    video = probe_video(path, root=tmp_path)
    assert video.estimated_times
    assert shown(path) == {index: index for index in range(30)}
    with av.open(str(path)) as opened:
        positions = [packet.pos for packet in opened.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    start = positions[15] + 8
    data[start + 4 : start + 60] = bytes(56)
    path.write_bytes(data)
    frames = shown(path)
    first = min(index for index, frame in frames.items() if isinstance(frame, Lost))
    assert 10 <= first <= 16
    assert [frames[index] for index in range(first)] == list(range(first))
    assert all(isinstance(frames[index], Lost) for index in range(first, len(frames)))
    assert len(frames) >= 29


def test_sizes_and_clocks(tmp_path):
    write_video(tmp_path / "a.mkv", size=WIDE, rotation=90, start_seconds=5.0, num_frames=2)
    video = probe_video(tmp_path / "a.mkv", root=tmp_path)
    assert coded_size(video) == WIDE
    with open_video(video.path) as (_, stream):
        assert start_ticks(video, stream.time_base) == 5000
