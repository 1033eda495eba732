"""Open a file safely with PyAV: only local files, known formats and known codecs.

FFmpeg detects the format by the content, not by the suffix. A playlist named ``.mp4`` would make it
open the files that the playlist names. So formats, protocols and codecs are allow-lists.
"""

import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
from av.codec import Codec
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.errors import VideoError
from vidmoco.shapes import UInt8
from vidmoco.video.files import describe_unknown

# FFmpeg's demuxers of files that contain a video themselves. The last ones contain sound only: they
# are opened for a better error message.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,rm,gif,ivf,mxf,dv,"
    "yuv4mpegpipe,mp3,wav,flac,aac"
)
# Codecs of cameras, archives and the web, without image codecs and rare lossless ones. Those have
# the least tested decoders, and the most entries on FFmpeg's security page.
CODECS = frozenset(
    {
        *("av1", "cfhd", "cinepak", "dnxhd", "dvvideo", "ffv1", "flv1", "gif", "h263", "h264"),
        *("hevc", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1", "msmpeg4v2"),
        *("msmpeg4v3", "msvideo1", "prores", "rawvideo", "rv10", "rv20", "rv30", "rv40", "svq1"),
        *("svq3", "theora", "vc1", "vp6", "vp6f", "vp8", "vp9", "wmv1", "wmv2", "wmv3"),
    }
)


# ISO/IEC 23091-2, MatrixCoefficients. libswscale raises an error for others, and a damaged file may
# hold any number. Players without one take the usual matrix.
_UNSPECIFIED = 2
_MATRICES = frozenset({0, 1, _UNSPECIFIED, 4, 5, 6, 7, 9})
_NEAREST_MATRIX = {10: 9}  # BT.2020 with constant luminance
_RANGES = frozenset({0, 1, 2})  # unspecified, limited, full


def _canonical_name(decoder: str) -> str:
    try:
        return str(Codec(decoder, "r").canonical_name)
    except av.codec.codec.UnknownCodecError:  # an encoder
        return ""


_DECODERS = ",".join(
    name
    for name in sorted(av.codecs_available)
    if name in CODECS or _canonical_name(name) in CODECS  # libdav1d is a decoder of av1
)

_SCALERS = threading.local()

# FFmpeg's log goes to Python's logging, and is silent by default. Decoding captures it.
av.logging.set_level(av.logging.INFO)
av.logging.set_skip_repeated(False)  # the same error in the next picture matters too
logging.getLogger("libav").addHandler(logging.NullHandler())


@contextmanager
def open_video(
    path: Path, *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a local file and choose its video stream, without decoding.

    The decoder is told to fail on damage instead of concealing it, and to decode no picture of more
    than ``limits.max_pixels``.

    Raises:
        VideoError: the file cannot be opened, has no video, or one that is not allowed. The message
            is the reason, without the path.
    """
    try:
        container = av.open(
            f"file:{path}",
            "r",
            # Options go to the container and to the decoders that look at its start.
            options={
                "protocol_whitelist": "file",
                "format_whitelist": FORMATS,
                "max_pixels": str(limits.max_pixels),
                "codec_whitelist": _DECODERS,  # no stream of the file opens another decoder
            },
            metadata_errors="ignore",
        )
    except MemoryError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(explain(error, path)) from error
    with container:
        yield container, _choose_stream(container, limits)


def _choose_stream(container: InputContainer, limits: Limits) -> VideoStream:
    """Return the stream that a player shows, ready to decode with one thread."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    ]
    if not streams:
        if container.streams.video:
            raise VideoError("it holds no video, only a cover picture")
        if container.streams.audio:
            raise VideoError("it holds no video, only sound")
        raise VideoError("it holds no video")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream == best), streams[0])
    codec = codec_name(stream)
    if codec not in CODECS:
        way = "; convert it without loss: ffmpeg -i IN -c:v ffv1 OUT.mkv" if codec else ""
        raise VideoError(f"its codec ({codec or 'unknown'}) is not supported{way}")
    context = stream.codec_context
    limits.require(width=context.width, height=context.height)
    context.options = {
        "max_pixels": str(limits.max_pixels),
        "codec_whitelist": _DECODERS,
        # aggressive: surplus bits after the last block of a picture are an error too. Other codecs
        # allow them.
        "err_detect": "explode+aggressive" if codec == "h264" else "explode",
    }
    context.thread_count = 1
    return stream


def foreign_codec(container: InputContainer) -> str:
    """Return the codec of a video stream that is not on the allow-list, or an empty string.

    PyAV never decodes such a stream, but decord might.
    """
    for stream in container.streams.video:
        if codec_name(stream) not in CODECS:
            return codec_name(stream) or "unknown"
    return ""


def codec_name(stream: VideoStream) -> str:
    """Return FFmpeg's name of the codec (not of the decoder), or an empty string."""
    context: Any = stream.codec_context
    return "" if context is None else str(context.codec.canonical_name)


def explain(error: Exception, path: Path) -> str:
    """Return the reason why FFmpeg could not read a file."""
    if isinstance(error, PermissionError):
        return "it may not be read: permission denied"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, av.InvalidDataError | av.ArgumentError | av.EOFError):
        # ArgumentError: the format is not on the allow-list.
        try:
            return describe_unknown(path)
        except OSError as second:
            return f"it cannot be read: {second.strerror}"
    if isinstance(error, av.FFmpegError | OSError):
        return f"FFmpeg says: {error.strerror or error}"
    return f"{type(error).__name__}: {error}"


def rotation_of(frame: VideoFrame) -> tuple[int, bool]:
    """Return the counter-clockwise rotation in degrees, and whether the picture is mirrored first.

    FFmpeg's function gives only the angle, which is wrong for mirrored matrices (front cameras).
    """
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    # ISO 14496-12 6.2.2: rows (a b u) (c d v) (x y w), a to d in 16.16; y points down.
    a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5].astype(np.int64).tolist()
    mirrored = a * d - b * c < 0
    if mirrored:  # the rotation after a flip from left to right
        a, b = -a, -b
    degrees = -math.degrees(math.atan2(b, a))
    return round(degrees / 90) * 90 % 360, mirrored


def to_rgb(frame: VideoFrame, *, coded_size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """Return a decoded picture in RGB, scaled to ``coded_size`` (width, height) and rotated."""
    width, height = coded_size
    if frame.colorspace not in _MATRICES:
        frame.colorspace = _NEAREST_MATRIX.get(frame.colorspace, _UNSPECIFIED)
    if frame.color_range not in _RANGES:
        frame.color_range = 0
    if not hasattr(_SCALERS, "scaler"):
        _SCALERS.scaler = VideoReformatter()  # kept, because it costs as much as a small picture
    scaled = _SCALERS.scaler.reformat(frame, width, height, "rgb24", threads=1)
    picture = scaled.to_ndarray()
    rotation, mirrored = rotation_of(frame)
    if mirrored:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(np.rot90(picture, rotation // 90))
