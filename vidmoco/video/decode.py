"""Frames of a video at given times.

Times are float64 seconds from the first shown frame, taken from the file's own timestamps. Pictures
are RGB, turned as they are displayed; pixels are not stretched to be square.
"""

from collections.abc import Sequence

import av
import numpy as np

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.errors import VideoError
from vidmoco.shapes import Float64
from vidmoco.video.files import require_as_scanned
from vidmoco.video.frames import FastReader, Frames
from vidmoco.video.info import VideoInfo
from vidmoco.video.seek_reader import SeekReader


def read_frames(
    video: VideoInfo,
    times: Sequence[float],
    *,
    limits: Limits = DEFAULT_LIMITS,
    fast: FastReader | None = None,
) -> Frames:
    """Return the frame that is shown at each time: the last that began at or before it.

    The file is opened and closed inside the call, with one decoder thread. A time before zero gives
    the first frame, one after the end the last.

    Args:
        video: a row of the catalog; its route says what reads the file.
        times: seconds from the first shown frame, in any order, with repeats.
        limits: what the video may be.
        fast: asked first; it may decline. The frames and times are those of the exact reader.

    Raises:
        VideoError: the video is refused, missing, damaged there or has changed since the scan.
        ValueError: a time is not a finite number.
    """
    asked = np.asarray(times, dtype=np.float64).reshape(-1)
    if not np.isfinite(asked).all():
        raise ValueError(f"{times = }: expected finite seconds")
    require_as_scanned(video)
    distinct, positions = np.unique(asked, return_inverse=True)
    frames = fast.read(video, distinct) if fast is not None and len(distinct) else None
    if frames is None:
        frames = _read_exactly(video, distinct, limits)
    if np.array_equal(distinct, asked):
        return frames
    return Frames(frames.images[positions], frames.pts_seconds[positions])


def _read_exactly(video: VideoInfo, times: Float64[np.ndarray, " t"], limits: Limits) -> Frames:
    """Return frames at growing times, through PyAV."""
    images: list[np.ndarray] = []
    pts_seconds: list[float] = []
    try:
        with SeekReader(video, limits=limits) as reader:
            for time in times.tolist():
                seconds, frame = reader.at(time)
                same = bool(pts_seconds) and seconds == pts_seconds[-1]
                images.append(images[-1] if same else reader.rgb(frame))
                pts_seconds.append(seconds)
    except MemoryError:
        raise
    except (VideoError, av.FFmpegError) as error:
        raise VideoError(f"{video.path}: {error}.") from error
    empty = np.zeros((0, video.height, video.width, 3), dtype=np.uint8)
    return Frames(np.stack(images) if images else empty, np.array(pts_seconds, dtype=np.float64))
