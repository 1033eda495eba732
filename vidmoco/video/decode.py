"""Frames of a video: at given times, or all of them in order.

Times are float64 seconds from the first shown frame, taken from the file's own timestamps. Pictures
are RGB, turned as they are displayed; pixels are not stretched to be square.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch  # before decord, whose libraries else hide torch's
from av.video.frame import VideoFrame
from torch import Tensor
from torch.nn import functional as F

from vidmoco.errors import VideoError
from vidmoco.shapes import Float64, UInt8
from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.exact import ExactReader, coded_size, decoded_frames
from vidmoco.video.info import VideoInfo
from vidmoco.video.probe import probe_video

import decord  # isort: skip

decord.logging.set_level(decord.logging.QUIET)


@dataclass(frozen=True)
class Frames:
    """Frames of one video."""

    images: UInt8[np.ndarray, "t h w 3"]
    """Displayed RGB pictures."""
    pts_seconds: Float64[np.ndarray, " t"]
    """When the showing of each began, from the first shown frame of the video."""


def read_frames(video: VideoInfo, times: Sequence[float]) -> Frames:
    """Return the frame that is shown at each time: the last that began at or before it.

    The file is opened and closed inside the call, with one decoder thread. A time before zero gives
    the first frame, one after the end the last.

    Args:
        video: a row of the catalog; its route says what reads the file.
        times: seconds from the first shown frame, in any order, with repeats.

    Raises:
        VideoError: the video is refused, missing, damaged or has changed since the scan.
        ValueError: a time is not a finite number.
    """
    asked = np.asarray(times, dtype=np.float64).reshape(-1)
    if not np.isfinite(asked).all():
        raise ValueError(f"{times = }: expected finite seconds")
    _require_as_scanned(video)
    distinct, positions = np.unique(asked, return_inverse=True)
    frames = _read_with_decord(video, distinct) if video.route == "decord" else None
    if frames is None:
        frames = _read_exactly(video, distinct)
    return Frames(frames.images[positions], frames.pts_seconds[positions])


def _require_as_scanned(video: VideoInfo) -> None:
    if video.route == "refused":
        raise VideoError(f"{video.path}: {video.reason}.")
    try:
        status = video.path.stat()
    except OSError as error:
        raise VideoError(f"{video.path}: {error.strerror}. Scan again.") from error
    if (status.st_size, status.st_mtime_ns) != (video.num_bytes, video.mtime_ns):
        raise VideoError(f"{video.path}: the file has changed since the scan. Scan again.")


def _read_with_decord(video: VideoInfo, times: Float64[np.ndarray, " t"]) -> Frames | None:
    """Return frames at growing times; None: decord fails, or sees another video than the scan."""
    try:
        reader = decord.VideoReader(os.fspath(video.path), ctx=decord.cpu(0), num_threads=1)
        if len(reader) != video.num_frames:
            return None
        # float32 seconds; a tick of the clock is more (routes.DECORD_MAX_TICKS), so they are exact.
        rounded = reader.get_frame_timestamp(range(len(reader)))[:, 0].astype(np.float64)
        pts_seconds = np.rint(rounded * video.ticks_per_second) / video.ticks_per_second
        shown = (np.searchsorted(pts_seconds, times, side="right") - 1).clip(0)
        indices, positions = np.unique(shown, return_inverse=True)
        images = reader.get_batch(indices.tolist()).asnumpy() if len(indices) else None
    except (decord.DECORDError, RuntimeError, IndexError):
        return None  # if the file is damaged, PyAV tells so in plain words
    size = (video.height, video.width, 3)
    if images is None or images.shape[1:] != size:
        return None
    return Frames(images[positions], pts_seconds[shown])


def _read_exactly(video: VideoInfo, times: Float64[np.ndarray, " t"]) -> Frames:
    """Return frames at growing times, through PyAV."""
    images: list[np.ndarray] = []
    pts_seconds: list[float] = []
    try:
        with ExactReader(video) as reader:
            for time in times.tolist():
                seconds, frame = reader.at(time)
                same = bool(pts_seconds) and seconds == pts_seconds[-1]
                images.append(images[-1] if same else reader.rgb(frame))
                pts_seconds.append(seconds)
    except (VideoError, av.FFmpegError) as error:
        raise VideoError(f"{video.path}: {error}.") from error
    empty = np.zeros((0, video.height, video.width, 3), dtype=np.uint8)
    return Frames(np.stack(images) if images else empty, np.array(pts_seconds, dtype=np.float64))


def iter_frames(
    path: Path, *, on_damage: Callable[[str], None] | None = None
) -> Iterator[tuple[float, UInt8[np.ndarray, "h w 3"]]]:
    """Yield every shown frame in order as (seconds from the first shown frame, displayed RGB).

    What cannot be decoded is left out; a picture that is decoded with errors is not.

    Args:
        path: a video file.
        on_damage: called at the end, with one line, when something was damaged.

    Raises:
        VideoError: no frame can be read.
    """
    video = probe_video(path, root=path.parent)
    if video.route == "refused":
        raise VideoError(f"{path}: {video.reason}.")
    num_frames, last = 0, -1.0
    for seconds, frame in _undamaged_frames(video):
        num_frames, last = num_frames + 1, seconds
        yield seconds, to_rgb(frame, coded_size=coded_size(video))
    if num_frames == video.num_frames:
        return
    damage: list[str] = []
    with open_video(path) as (container, stream):
        for seconds, frame in decoded_frames(container, stream, video, damage=damage):
            if seconds > last:
                num_frames += 1
                yield seconds, to_rgb(frame, coded_size=coded_size(video))
    if not num_frames:
        raise VideoError(f"{path}: no frame of it can be decoded.")
    if damage and on_damage is not None:
        on_damage(f"{path}: {len(damage)} damaged places; the first: {damage[0]}.")


def _undamaged_frames(video: VideoInfo) -> Iterator[tuple[float, VideoFrame]]:
    """Yield frames until the first damage.

    Several pictures are decoded at once, which is several times faster and gives the same ones. But
    only one thread conceals damage the same way each time, and tells of all of it.
    """
    with open_video(video.path) as (container, stream):
        stream.codec_context.thread_count = 0  # as many as FFmpeg likes
        stream.codec_context.thread_type = "AUTO"
        frames = decoded_frames(container, stream, video)
        while True:
            try:
                seconds, frame = next(frames)
            except (StopIteration, VideoError):  # the caller counts, and reads on with one thread
                return
            if frame.is_corrupt:
                return
            yield seconds, frame


def resize_frames(
    images: UInt8[np.ndarray, "t h w 3"], *, height: int, width: int
) -> UInt8[Tensor, "t 3 {height} {width}"]:
    """Return frames resized in uint8, by bilinear interpolation with anti-aliasing."""
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2)  # channels last: the fast path
    if pictures.shape[-2:] == (height, width):
        return pictures
    return F.interpolate(
        pictures, size=(height, width), mode="bilinear", antialias=True, align_corners=False
    )
