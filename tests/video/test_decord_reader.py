import dataclasses
import subprocess
import sys

import av
import numpy as np
import pytest
from painted_videos import read_index, write_video

from vidmoco.video.decode import read_frames
from vidmoco.video.probe import probe_video
from vidmoco.workers.pool import WorkerPool

WIDE = (256, 192)
VARYING = [0.1 * i + 0.02 * (i * i % 5) for i in range(40)]
KINDS = {
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


def build_reader():
    """A job is (video, times); decord's stderr is that of its process, so it needs one."""
    from vidmoco.video.decord_reader import DecordReader

    reader = DecordReader()
    return lambda job: reader.read(job[0], np.array(job[1]))


@pytest.fixture(scope="module")
def decord():
    """Reads by decord alone; None where it is not to be believed."""
    with WorkerPool(build_reader, workers=1, max_memory=4 * 2**30, max_seconds=30.0) as pool:

        def read(video, times):
            (report,) = pool.map([(video, times)])
            assert not report.failure, report.failure
            return report.value

        yield read


@pytest.mark.parametrize("name", KINDS)
def test_decord_shows_what_pyav_shows(tmp_path, decord, name):
    write_video(tmp_path / name, **({"num_frames": 40, "size": WIDE} | KINDS[name]))
    video = probe_video(tmp_path / name, root=tmp_path)
    assert video.route == "decord"
    times = sorted(np.random.default_rng(0).uniform(-0.1, 4.1, 30).tolist())
    exact = read_frames(video, times)
    fast = decord(video, times)
    assert fast.pts_seconds.tolist() == exact.pts_seconds.tolist()  # bit for bit
    indices = [read_index(image) for image in exact.images]
    assert [read_index(image) for image in fast.images] == indices
    difference = np.abs(fast.images.astype(np.int16) - exact.images)
    assert difference.mean(axis=(1, 2, 3)).max() < 2


def test_a_time_just_before_a_frame_is_the_one_before(tmp_path, decord):
    write_video(tmp_path / "a.mkv", size=WIDE, times=VARYING)
    video = probe_video(tmp_path / "a.mkv", root=tmp_path)
    shown = read_frames(video, VARYING).pts_seconds
    before = np.nextafter(shown[1:], 0)
    assert [read_index(image) for image in decord(video, before).images] == list(range(39))


def test_it_is_not_believed_when_it_sees_another_video(tmp_path, decord):
    write_video(tmp_path / "a.mp4", size=WIDE)
    video = probe_video(tmp_path / "a.mp4", root=tmp_path)
    assert decord(video, [1.0]) is not None
    assert decord(dataclasses.replace(video, num_frames=29), [1.0]) is None
    assert decord(dataclasses.replace(video, width=255), [1.0]) is None
    video.path.unlink()
    assert decord(video, [1.0]) is None


def test_it_is_not_believed_when_its_ffmpeg_complains(tmp_path, decord):
    """One picture is damaged; without an ear on stderr decord gives other ones for those after."""
    path = tmp_path / "a.mp4"
    write_video(path, size=WIDE, num_frames=120, gop=20, b_frames=0)
    with av.open(str(path)) as opened:
        packets = [packet for packet in opened.demux(video=0) if packet.size]
        middle = packets[70].pos + packets[70].size // 2
    data = bytearray(path.read_bytes())
    data[middle : middle + 8] = bytes(8)
    path.write_bytes(data)
    video = probe_video(path, root=tmp_path)
    assert video.route == "decord"  # its packets look well
    answers = [decord(video, [index / 10 + 0.01]) for index in range(0, 120, 2)]
    assert any(frames is None for frames in answers)
    for index, frames in enumerate(answers):
        assert frames is None or read_index(frames.images[0]) == 2 * index


def test_python_still_speaks_and_pyav_keeps_its_ffmpeg():
    """Stderr of Python goes where it went; FFmpeg's libraries are not mixed up."""
    code = """
import os, sys
from vidmoco.video.decord_reader import DecordReader
import av
DecordReader()
os.write(2, b"from FFmpeg")
print("from Python", file=sys.stderr)
print(av.ffmpeg_version_info)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    plain = subprocess.run(
        [sys.executable, "-c", "import av; print(av.ffmpeg_version_info)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == "from Python\n"
    assert result.stdout == plain.stdout
