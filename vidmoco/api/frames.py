"""Decoded frames in memory."""

from pathlib import Path
from typing import Any

import numpy as np

from vidmoco.api.embed import PathLike, as_asked
from vidmoco.config.frame_selection import selection_of
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.config.plain import from_python
from vidmoco.errors import ConfigError, VideoError
from vidmoco.shapes import Float64, UInt8
from vidmoco.urls import absolute, is_url
from vidmoco.video.open_catalog import look_up
from vidmoco.video.selected_frames import select_frames


def read_frames(
    video: PathLike, *, limits: Limits | dict[str, Any] = DEFAULT_LIMITS, **frames: Any
) -> tuple[UInt8[np.ndarray, "t h w 3"], Float64[np.ndarray, " t"]]:
    """Return the frames that ``embed`` takes of a video, as a player shows them.

        frames, times = vidmoco.read_frames("clip.mp4", fps=2)
        frames, times = vidmoco.read_frames("clip.mp4", times=[1.0, 2.5])

    They are decoded in this process, and all are in memory at once: a minute of 1080p at 25 frames
    per second is 9 GB.

    Args:
        video: A video file.
        limits: What it may be, as in ``pretrain``: ``{"max_duration": 9e4}``.
        **frames: Which frames, as ``FrameSelection`` has them: ``fps``, ``every``, ``num_frames``,
            ``keyframes``, ``scenes``, ``times``, ``start``, ``end``. Times are seconds, or texts
            such as "1:02.5" and "1:02:03". The default is all frames.

    Returns:
        (frames, times): uint8 RGB (T, H, W, 3), upright, as large as the file has them, and
        float64 (T,), seconds from the first shown frame. They are in the
        order of ``times``, and else in that of the video.

    Raises:
        ConfigError: There is no such file, or a setting cannot be used.
        VideoError: The video cannot be read, or ends before a frame that is asked for.
    """
    selection = selection_of(frames, call=read_frames)
    allowed = limits if isinstance(limits, Limits) else from_python(Limits, limits)
    path = Path(video)
    if is_url(path):
        raise ConfigError(f"{video} is a URL, and read_frames takes a file. Download it first.")
    (row,) = look_up([absolute(path)], progress=False, limits=allowed)
    if isinstance(row, VideoError):
        raise row
    found = list(select_frames(row, selection, limits=allowed).frames)
    pictures = np.stack([picture for _, picture, _ in found])
    return as_asked((pictures, np.array([seconds for seconds, _, _ in found])), selection)
