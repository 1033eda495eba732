from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from painted_videos import paint, read_index, write_audio, write_video

from vidmoco.config.limits import LimitError, Limits
from vidmoco.errors import VideoError
from vidmoco.video.container import (
    codec_name,
    explain,
    foreign_codec,
    open_video,
    rotation_of,
    to_rgb,
)


def first_frame(path):
    with open_video(path) as (opened, stream):
        return next(opened.decode(stream))


def write_turned(path, *, degrees, hflip=False, vflip=False):
    """One frame as coded, with a display matrix of its own."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(paint(77), format="rgb24")))
        output.mux(stream.encode(None))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_turned_as_displayed(tmp_path, rotation):
    write_video(tmp_path / "a.mp4", num_frames=1, rotation=rotation, first_index=3)
    frame = first_frame(tmp_path / "a.mp4")
    assert rotation_of(frame) == (rotation, False)
    picture = to_rgb(frame, coded_size=(96, 64))
    assert picture.shape == ((64, 96, 3) if rotation in (0, 180) else (96, 64, 3))
    assert read_index(picture) == 3


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({"degrees": 0, "hflip": True}, lambda a: a[:, ::-1]),
        ({"degrees": 0, "vflip": True}, lambda a: a[::-1]),
    ],
)
def test_mirrored_pictures(tmp_path, turn, expected):
    write_turned(tmp_path / "a.mp4", **turn)
    frame = first_frame(tmp_path / "a.mp4")
    assert rotation_of(frame)[1]
    picture = to_rgb(frame, coded_size=(96, 64))
    assert read_index(expected(picture)) == 77
    with pytest.raises(ValueError, match="mirrored"):
        read_index(picture)


def test_mirrored_and_turned_is_both(tmp_path):
    """Pixel by pixel, as ISO 14496-12 defines the matrix."""
    write_turned(tmp_path / "a.mp4", degrees=90, hflip=True)
    frame = first_frame(tmp_path / "a.mp4")
    matrix = np.frombuffer(frame.side_data["DISPLAYMATRIX"], dtype=np.int32)[:5] / 2**16
    a, b, _, c, d = matrix
    coded = frame.to_ndarray(format="rgb24")
    # The coded pixel (x, y) goes to (a x + c y, b x + d y), shifted to be not negative.
    y, x = np.mgrid[: coded.shape[0], : coded.shape[1]]
    to_x, to_y = (a * x + c * y).astype(int), (b * x + d * y).astype(int)
    displayed = np.zeros((coded.shape[1], coded.shape[0], 3), np.uint8)
    displayed[to_y - to_y.min(), to_x - to_x.min()] = coded
    np.testing.assert_array_equal(to_rgb(frame, coded_size=(96, 64)), displayed)


def test_colours_are_red_green_blue(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=1, white=(250, 130, 10), size=(96, 64))
    picture = to_rgb(first_frame(tmp_path / "a.mp4"), coded_size=(96, 64))
    np.testing.assert_allclose(picture[8, 12], (250, 130, 10), atol=12)


@pytest.mark.parametrize(
    ("numbers", "read_as"),
    [({"colorspace": number}, {"colorspace": 2}) for number in (3, 8, 11, 14, 200)]
    + [({"colorspace": 10}, {"colorspace": 9}), ({"color_range": 7}, {"color_range": 0})],
)
def test_numbers_that_are_not_converted_are_read_as_the_usual(numbers, read_as):
    coded = np.random.default_rng(0).integers(16, 236, (96, 96), dtype=np.uint8)
    pictures = []
    for given in (numbers, read_as):
        frame = av.VideoFrame.from_ndarray(coded, format="yuv420p")
        for name, number in given.items():
            setattr(frame, name, number)
        pictures.append(to_rgb(frame, coded_size=(96, 64)))
    np.testing.assert_array_equal(*pictures)


def test_a_picture_of_another_size_is_scaled(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=1, first_index=5)
    picture = to_rgb(first_frame(tmp_path / "a.mp4"), coded_size=(192, 128))
    assert picture.shape == (128, 192, 3)
    assert read_index(picture) == 5


def test_codec_names(tmp_path):
    write_video(tmp_path / "a.mp4", codec="libsvtav1", num_frames=1)
    with open_video(tmp_path / "a.mp4") as (_, stream):
        assert codec_name(stream) == "av1"  # not the decoder, libdav1d


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.mp4", "ffconcat version 1.0\nfile other.mp4\n"),
        (
            "list.webm",
            "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.mp4\n#EXT-X-ENDLIST\n",
        ),
    ],
)
def test_a_playlist_is_refused_under_any_name(tmp_path, name, content):
    write_video(tmp_path / "other.mp4")
    (tmp_path / name).write_text(content)
    with pytest.raises(VideoError, match="playlist"), open_video(tmp_path / name):
        pass


def test_a_concat_script_is_what_ffmpeg_would_follow(tmp_path):
    """The reason for the allow-list: without it the named file is opened."""
    write_video(tmp_path / "other.mp4")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    with av.open(str(tmp_path / "list.mp4"), options={"safe": "0"}) as opened:
        assert opened.streams.video


def test_names_that_look_like_urls_and_flags(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("http:x.mp4", "-i.mp4", "a%03d.mp4", "concat:a|b.mp4", "ü [x].mp4"):
        write_video(tmp_path / name, num_frames=1, first_index=9)
        assert read_index(to_rgb(first_frame(Path(name)), coded_size=(96, 64))) == 9


def test_sound_alone(tmp_path):
    write_audio(tmp_path / "a.m4a")
    write_audio(tmp_path / "b.mp4")
    for name in ("a.m4a", "b.mp4"):
        with pytest.raises(VideoError, match="only sound"), open_video(tmp_path / name):
            pass


def test_a_codec_that_is_not_allowed(tmp_path):
    write_video(tmp_path / "a.avi", codec="huffyuv", pixel_format="yuv422p", num_frames=1)
    with pytest.raises(VideoError, match="huffyuv"), open_video(tmp_path / "a.avi"):
        pass


def test_pictures_that_are_too_large(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, num_frames=1, size=(640, 480))
    with (
        pytest.raises(LimitError, match="640 x 480") as caught,
        open_video(path, limits=Limits(max_pixels=640 * 480 - 1)),
    ):
        pass
    assert caught.value.limit == f"max_pixels={640 * 480 - 1}"
    with open_video(path, limits=Limits(max_pixels=640 * 480)) as (opened, stream):
        assert next(opened.decode(stream)).width == 640


def test_a_picture_that_grows_is_not_decoded(tmp_path):
    """The header promises a small picture; the bound reaches the decoder too."""
    path = tmp_path / "a.avi"
    write_video(path, codec="mjpeg", pixel_format="yuvj420p", size=(640, 480), num_frames=1)
    data = path.read_bytes().replace((640).to_bytes(4, "little"), (64).to_bytes(4, "little"))
    path.write_bytes(data)
    with (
        open_video(path, limits=Limits(max_pixels=640 * 480 - 1)) as (opened, stream),
        pytest.raises(av.FFmpegError),
    ):
        next(opened.decode(stream))
    with open_video(path, limits=Limits(max_pixels=640 * 480)) as (opened, stream):
        assert next(opened.decode(stream)).width == 640


def test_streams_of_codecs_that_are_not_allowed_are_named(tmp_path):
    path = tmp_path / "two.mov"
    with av.open(str(path), "w") as output:
        streams = []
        for codec, pixel_format in (("libx264", "yuv420p"), ("magicyuv", "gbrp")):
            stream = output.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 96, 64, pixel_format
            streams.append(stream)
        for stream in streams:
            frame = av.VideoFrame(96, 64, stream.pix_fmt)
            frame.pts, frame.time_base = 0, Fraction(1, 10)
            output.mux([*stream.encode(frame), *stream.encode(None)])
    with open_video(path) as (opened, stream):
        assert codec_name(stream) == "h264"
        assert foreign_codec(opened) == "magicyuv"
        # Not even looked into: only its decoder could tell this.
        assert opened.streams.video[1].codec_context.pix_fmt is None
    write_video(tmp_path / "one.mkv", num_frames=1)
    with open_video(tmp_path / "one.mkv") as (opened, _):
        assert foreign_codec(opened) == ""


def test_a_cover_picture_is_no_video(tmp_path):
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as output:
        sound = output.add_stream("mp3", rate=16000)
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(paint(1, size=(64, 64)), format="rgb24")
        output.mux(cover.encode(picture.reformat(format="yuvj420p")))
        output.mux(cover.encode(None))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16p", "mono")
        samples.sample_rate = 16000
        for _ in range(20):
            output.mux(sound.encode(samples))
        output.mux(sound.encode(None))
    with pytest.raises(VideoError, match="only a cover picture"), open_video(path):
        pass


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (av.PermissionError(13, "Permission denied", "a"), "permission denied"),
        (av.FileNotFoundError(2, "No such file", "a"), "no such file"),
        (IsADirectoryError(21, "Is a directory", "a"), "folder"),
        (av.InvalidDataError(1, "Invalid data", "a"), "cannot be read: No such file"),
        (av.MemoryError(12, "Cannot allocate memory", "a"), "FFmpeg says: Cannot allocate memory"),
        (ValueError("odd"), "ValueError: odd"),
    ],
)
def test_errors_in_plain_words(tmp_path, error, words):
    assert words in explain(error, tmp_path / "gone.mp4")
