"""The real awkward files: what becomes of each, in a table, and random reading against order."""

import random

import numpy as np
import pytest

from vidmoco.errors import VideoError
from vidmoco.video.decode import read_frames
from vidmoco.video.forward_reader import ForwardReader, reads_forward
from vidmoco.video.scan import scan_videos
from vidmoco.video.sequential_reader import iter_frames

# A piece of the reason of a refusal, or (route, frames given in order, frames reported damaged).
FILES = {
    "-leading-dash.mp4": ("pyav", 5, 0),
    "MSMPEG4_UPPER.ASF": ("pyav", 61, 0),
    "Taï_ünïcode name with spaces.avi": ("pyav", 15, 0),
    "animated.gif": ("pyav", 36, 0),
    "audio_only.mp3": "only sound",
    "audio_only.wav": "only sound",
    "av1_10bit_filmgrain.ivf": ("pyav", 10, 0),
    "av1_8bit.mkv": ("decord", 125, 0),
    "av1_svc_L2T1.ivf": ("pyav", 8, 0),
    "bitflips_60.mp4": "can be decoded without errors",  # its one key frame is damaged
    "bt709_full_range.mp4": ("decord", 30, 0),
    "cfhd_odd_496x241.mov": ("pyav", 10, 0),
    "corrupted_decord.mp4": ("decord", 29, 21),
    "empty.webm": "the file is empty",
    "h264_10bit.mp4": ("pyav", 30, 0),
    "h264_10bit_5frames.mkv": ("pyav", 5, 0),
    "h264_1fps_13frames.mp4": ("pyav", 13, 0),
    "h264_1x1.mp4": ("pyav", 5, 0),
    "h264_5frames.mkv": ("pyav", 5, 0),
    "h264_82x144.ts": ("pyav", 74, 0),
    "h264_broken_sps.flv": ("pyav", 79, 0),  # what is broken is a SEI message
    "h264_crop_single_frame.mp4": ("decord", 1, 0),
    "h264_displaymatrix.mp4": ("pyav", 33, 1),
    "h264_empty_edit_5s.mp4": "can be decoded without errors",
    "h264_failing_audio.mp4": ("decord", 280, 0),
    "h264_frag_encrypted_120x52.mp4": "encrypted",
    "h264_full_range_no_count.mkv": ("decord", 47, 0),
    "h264_neg_first_pts.mp4": ("pyav", 15, 0),
    "h264_nonint_fps.mp4": ("decord", 36, 0),
    "h264_spherical.mp4": ("pyav", 120, 0),
    "h264_yuv444_cockatoo.mp4": ("pyav", 280, 0),
    "header_only.mp4": "it holds no video",
    "header_only.webm": ("pyav", 1, 0),
    "hevc_10bit.mp4": ("pyav", 30, 0),
    "hevc_128x128_4frames.mp4": ("pyav", 4, 0),
    "hevc_8bit.mp4": ("pyav", 10, 0),
    "hevc_hdr10.mkv": ("pyav", 10, 0),
    "long_gop250_bottles.mp4": ("decord", 1189, 0),
    "mpeg2_160x120.mpg": ("pyav", 77, 2),
    "mpeg2_single_frame.mpg": ("pyav", 1, 0),
    "mpeg4_106x60_1fps.avi": ("pyav", 61, 0),
    "mpeg4_1frame.mp4": ("pyav", 1, 0),
    "msmpeg4v1.avi": ("pyav", 50, 0),
    "msvideo1_rgb555.avi": ("pyav", 30, 0),
    "not_a_video.mp4": "text file",
    "prores_alpha.mov": ("pyav", 1, 0),
    "rotation_0.mov": ("decord", 3, 0),
    "rotation_180.mov": ("decord", 3, 0),
    "rotation_90.mov": ("decord", 3, 0),
    "rv10.rm": ("pyav", 77, 0),
    "short_32frames.mp4": ("decord", 32, 0),
    "svq3_284x240.mov": ("pyav", 10, 0),
    "theora.ogv": ("pyav", 10, 0),
    "tiny_1x1.gif": "can be decoded without errors",
    "tiny_with_audio.mp4": "only sound",
    "truncated_90pct.mp4": "without its index",
    "truncated_faststart_half.mp4": ("pyav", 15, 1),
    "unordered_50x50.mov": ("pyav", 4, 0),
    "vfr_rotated_fire.mp4": ("decord", 25, 0),
    "vp8.ogv": ("pyav", 70, 0),
    "vp8_1s.webm": ("decord", 24, 0),
    "vp8_alpha.webm": ("pyav", 120, 0),
    "vp9_08x08.webm": ("pyav", 10, 0),
    "vp9_10bit_422.webm": ("pyav", 10, 0),
    "vp9_10x08.webm": ("pyav", 10, 0),
    "vp9_34x66.webm": ("pyav", 10, 0),
    "vp9_66x66.webm": ("pyav", 10, 0),
    "vp9_alpha.webm": ("decord", 150, 0),
    "vp9_hdr10plus_1frame.webm": ("pyav", 1, 0),
    "vp9_intra_only.webm": ("pyav", 7, 0),
    "vp9_yuv440.webm": ("pyav", 10, 0),
    "vp9_yuv444.webm": ("pyav", 10, 0),
    "wmv3_240x104.mp4": ("pyav", 120, 0),
    "wrong_ext_ivf_av1.mp4": ("pyav", 4, 0),
    "xvid_ucf101.avi": ("pyav", 240, 0),
    "zero_bytes.mp4": "the file is empty",
}
READ = [name for name, expected in FILES.items() if not isinstance(expected, str)]


def media_of(real_data):
    notes = {".md", ".csv"}
    return sorted(
        path
        for path in (real_data / "edge").iterdir()
        if path.is_file() and path.suffix not in notes
    )


@pytest.fixture(scope="module")
def rows(real_data):
    """The row of each file by its name, from a scan."""
    catalog = scan_videos(media_of(real_data), workers=2, progress=False)
    return {video.key: video for video in catalog.rows()}


def test_every_file_is_in_the_table(real_data):
    assert {path.name for path in media_of(real_data)} == set(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if name not in READ])
def test_a_refused_file_says_why(rows, name):
    assert rows[name].route == "refused"
    assert FILES[name] in rows[name].reason
    with pytest.raises(VideoError, match="^" + str(rows[name].path.parent)):
        next(iter_frames(rows[name]))


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_at_random_as_in_order(rows, decord_pool, name):
    route, num_frames, num_damaged = FILES[name]
    video = rows[name]
    assert video.route == route, video.reason
    wanted = set(random.Random(name).sample(range(num_frames), min(6, num_frames)))
    messages, pictures, count = [], {}, 0
    for count, (seconds, picture) in enumerate(iter_frames(video, damage=messages), 1):
        if count - 1 in wanted:
            pictures[seconds] = picture
    assert count == num_frames
    assert len(messages) == bool(num_damaged)
    if num_damaged:
        assert f"left out: {num_damaged}," in messages[0]
    assert len(pictures) == len(wanted)
    order = list(pictures)
    random.Random(name).shuffle(order)
    for seconds in order:
        frames = read_frames(video, [seconds])  # without decord
        assert frames.pts_seconds.tolist() == [seconds]
        np.testing.assert_array_equal(frames.images[0], pictures[seconds])
        forward = ForwardReader().read(video, np.array([seconds]))
        assert (forward is not None) == reads_forward(video) or num_damaged
        if forward is not None:
            assert forward.pts_seconds.tolist() == [seconds]
            np.testing.assert_array_equal(forward.images[0], pictures[seconds])
        if route == "decord":
            (report,) = decord_pool.map([(video, [seconds])])
            assert not report.failure
            if num_damaged and report.value is None:
                continue  # it has heard of the damage, and PyAV reads
            assert report.value is not None, "decord declines"
            assert report.value.pts_seconds.tolist() == [seconds]
            difference = np.abs(report.value.images[0].astype(np.int16) - pictures[seconds])
            assert difference.mean() < 2
