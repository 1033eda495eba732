import dataclasses
import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from painted_videos import paint, read_index, write_audio, write_video

from vidmoco.errors import VideoError
from vidmoco.video import decode
from vidmoco.video.decode import iter_frames, read_frames, resize_frames
from vidmoco.video.probe import probe_video

WIDE = (256, 192)
VARYING = [0.1 * i + 0.02 * (i * i % 5) for i in range(40)]
DECORD = {
    "closed.mp4": {"gop": 12},
    "one-gop.mov": {"gop": 1000},
    "closed.mkv": {"gop": 12},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp8.webm": {"codec": "libvpx"},
    "av1.mp4": {"codec": "libsvtav1"},
    "turned.mp4": {"rotation": 90},
    "turned.mov": {"rotation": 180},
    "turned.mkv": {"rotation": 270},
    "varying.mp4": {"times": VARYING},
    "varying.mkv": {"times": VARYING},
    "ntsc.mp4": {"fps": 29.97},
    "odd-width.mp4": {"size": (426, 240)},
}
PYAV = {
    "open.mp4": {"open_gop": True},
    "h264.ts": {},
    "h264.avi": {},
    "trimmed.mp4": {"hidden_frames": 9},
    "turned.mp4": {"rotation": 90, "size": (96, 64)},
    "stretched.mkv": {"start_seconds": 5.0},
}


def info_of(path, **options):
    write_video(path, **({"num_frames": 40, "size": WIDE} | options))
    return probe_video(path, root=path.parent)


@pytest.mark.parametrize("name", DECORD)
def test_decord_shows_what_pyav_shows(tmp_path, name):
    video = info_of(tmp_path / name, **DECORD[name])
    assert video.route == "decord"
    shown = list(iter_frames(video.path))
    assert [read_index(picture) for _, picture in shown] == list(range(40))
    times = [seconds for seconds, _ in shown]
    order = np.random.default_rng(0).permutation(40).tolist()
    frames = read_frames(video, [times[index] for index in order])
    assert [read_index(image) for image in frames.images] == order
    assert frames.pts_seconds.tolist() == [times[index] for index in order]  # bit for bit
    difference = np.abs(
        frames.images.astype(np.int16) - np.stack([shown[index][1] for index in order])
    )
    assert difference.mean(axis=(1, 2, 3)).max() < 2
    exact = read_frames(dataclasses.replace(video, route="pyav"), [times[i] for i in order])
    assert exact.pts_seconds.tolist() == frames.pts_seconds.tolist()


@pytest.mark.parametrize("name", PYAV)
def test_frames_through_pyav(tmp_path, name):
    video = info_of(tmp_path / name, **PYAV[name])
    assert video.route == "pyav"
    first = PYAV[name].get("hidden_frames", 0)
    shown = list(iter_frames(video.path))
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
    route=st.sampled_from(["decord", "pyav"]),
)
def test_the_shown_frame_is_the_last_that_began(varying, asked, route):
    video, times = varying
    frames = read_frames(dataclasses.replace(video, route=route), asked)
    expected = [max([i for i, time in enumerate(times) if time <= t], default=0) for t in asked]
    assert [read_index(image) for image in frames.images] == expected
    np.testing.assert_array_equal(frames.pts_seconds, [times[index] for index in expected])
    assert frames.images.shape == (len(asked), 192, 256, 3)


def test_a_time_just_before_a_frame_is_the_one_before(varying):
    video, times = varying
    before = [float(np.nextafter(time, 0)) for time in times[1:]]
    for route in ("decord", "pyav"):
        frames = read_frames(dataclasses.replace(video, route=route), before)
        assert [read_index(image) for image in frames.images] == list(range(7))


def test_decord_is_not_believed_when_it_sees_another_video(tmp_path, monkeypatch):
    """As with narrow pictures, whose rows it returns with their padding."""
    video = info_of(tmp_path / "a.mp4", size=(96, 64))
    wrong = dataclasses.replace(video, route="decord")
    assert [read_index(image) for image in read_frames(wrong, [1.0, 2.0]).images] == [10, 20]
    video = info_of(tmp_path / "b.mp4")
    wrong = dataclasses.replace(video, num_frames=39)
    calls = []
    exactly = decode._read_exactly
    monkeypatch.setattr(decode, "_read_exactly", lambda *a: calls.append(a) or exactly(*a))
    assert read_index(read_frames(wrong, [1.0]).images[0]) == 10
    assert len(calls) == 1


def test_times_that_are_no_numbers(varying):
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            read_frames(varying[0], [0.0, bad])


def test_files_that_are_not_as_scanned(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    os.utime(video.path, ns=(1, 1))
    with pytest.raises(VideoError, match=r"a\.mp4: the file has changed since the scan"):
        read_frames(video, [0.0])
    video.path.unlink()
    with pytest.raises(VideoError, match=r"a\.mp4: No such file"):
        read_frames(video, [0.0])
    (tmp_path / "b.mp4").touch()
    refused = probe_video(tmp_path / "b.mp4", root=tmp_path)
    with pytest.raises(VideoError, match=r"b\.mp4: the file is empty"):
        read_frames(refused, [0.0])


def damaged(path, *, share):
    """A video whose pictures after ``share`` of its bytes are noise."""
    write_video(path, num_frames=40, size=WIDE, gop=100, codec_options={"crf": "1"})
    data = bytearray(path.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    start = begin + int((end - begin) * share)
    data[start:end] = bytes((7 * i + 3) % 256 for i in range(end - start))
    path.write_bytes(data)
    return probe_video(path, root=path.parent)


def test_damage_names_the_file(tmp_path):
    video = damaged(tmp_path / "a.mp4", share=0.5)
    for route in ("decord", "pyav"):
        routed = dataclasses.replace(video, route=route)
        assert read_index(read_frames(routed, [0.3]).images[0]) == 3
        with pytest.raises(VideoError, match=r"a\.mp4: it is damaged") as caught:
            read_frames(routed, [3.9])
        assert "\n" not in str(caught.value)


def test_good_frames_of_a_damaged_video_are_kept(tmp_path):
    video = damaged(tmp_path / "a.mp4", share=0.5)
    messages = []
    times = []
    for seconds, picture in iter_frames(video.path, on_damage=messages.append):
        times.append(seconds)
        if seconds < 0.5:
            assert read_index(picture) == round(seconds * 10)
    assert 5 < len(times) < 40
    assert times == sorted(set(times))
    assert len(messages) == 1
    assert "damaged places" in messages[0]
    # The same frames for any number of threads, with or without someone who listens.
    assert [seconds for seconds, _ in iter_frames(video.path)] == times


def test_an_undamaged_video_says_nothing(tmp_path):
    video = info_of(tmp_path / "a.mp4")
    assert len(list(iter_frames(video.path, on_damage=pytest.fail))) == 40


def test_iter_frames_of_what_is_no_video(tmp_path):
    write_audio(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match=r"a\.mp4: it holds no video, only sound\."):
        next(iter_frames(tmp_path / "a.mp4"))
    with pytest.raises(VideoError, match="No such file"):
        next(iter_frames(tmp_path / "gone.mp4"))


def test_iter_frames_can_be_left_early(tmp_path):
    info_of(tmp_path / "a.mp4")
    frames = iter_frames(tmp_path / "a.mp4")
    next(frames)
    frames.close()


def test_resize_frames():
    images = np.stack([paint(index, size=(96, 64)) for index in (5, 6)])
    resized = resize_frames(images, height=32, width=40)
    assert resized.shape == (2, 3, 32, 40)
    assert resized.dtype == torch.uint8
    assert [read_index(picture.permute(1, 2, 0).numpy()) for picture in resized] == [5, 6]
    same = resize_frames(images, height=64, width=96)
    np.testing.assert_array_equal(same.permute(0, 2, 3, 1).numpy(), images)


def test_resize_frames_anti_aliases():
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::4] = 200  # finer than the small picture: they average out
    resized = resize_frames(stripes, height=16, width=16)
    assert resized[..., 2:-2].float().sub(50).abs().max() <= 3


@pytest.mark.slow
def test_real_videos_agree_on_both_routes(real_data):
    """Each decord-routed awkward file and a few clips: decord's frames are PyAV's."""
    paths = sorted(path for path in (real_data / "edge").iterdir() if path.suffix != ".csv")
    paths += sorted((real_data / "videos" / "droid").rglob("*.mp4"))[::100]
    paths += sorted((real_data / "videos" / "misc").rglob("*.*"))[::12]
    rng = np.random.default_rng(0)
    damaged_files = {"corrupted_decord.mp4"}  # raises where it is damaged
    routes = []
    for path in paths:
        video = probe_video(path, root=path.parent)
        if video.route == "refused" or path.name in damaged_files:
            continue
        stop = min(video.duration_seconds, 4.0)  # keeps the whole test short
        asked = [0.0, *rng.uniform(0, stop, 3).tolist()]
        wanted = {}
        last = max(asked)
        frames = read_frames(video, asked) if "damaged" not in video.reason else None
        if frames is None:
            continue
        for seconds, picture in iter_frames(path):
            if seconds > last:
                break
            for position, time in enumerate(asked):
                if seconds <= time:
                    wanted[position] = (seconds, picture)
        for position, (seconds, picture) in wanted.items():
            assert frames.pts_seconds[position] == seconds, path.name
            difference = np.abs(frames.images[position].astype(np.int16) - picture).mean()
            assert difference < 2, (path.name, asked[position], difference)
        routes.append(video.route)
    assert routes.count("decord") > 20
    assert routes.count("pyav") > 40
