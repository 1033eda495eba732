"""Frames by decord: the fast way, for the files that the routing rule gives it.

Only a worker process reads so. decord may hang or crash; and of damage it says nothing to its
caller (measured: 5 % of the frames of files with flipped bytes are then those of another time), but
its FFmpeg complains on stderr, where a process of its own can listen.
"""

import os
import sys
import tempfile

# Both before decord, whose libraries would else take the place of theirs (FFmpeg among them).
import av  # noqa: F401
import numpy as np
import torch  # noqa: F401

from vidmoco.shapes import Float64
from vidmoco.video.frames import Frames
from vidmoco.video.info import VideoInfo

import decord  # isort: skip


class DecordReader:
    """decord, and an ear on the stderr of this process. One in a process is enough."""

    def __init__(self) -> None:
        """Give Python a stderr of its own, and FFmpeg a file in place of the old one."""
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8")
        self._complaints = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (for life)
        os.dup2(self._complaints.fileno(), 2)
        decord.logging.set_level(decord.logging.ERROR)

    def read(self, video: VideoInfo, times: Float64[np.ndarray, " t"]) -> Frames | None:
        """Return the frames shown at growing times, or None where decord is not to be believed.

        That is so when a video is routed elsewhere, when decord fails or sees another video than
        the scan, and when its FFmpeg complains.
        """
        if video.route != "decord":
            return None
        frames = _read(video, times)
        return None if self._heard_complaints() else frames

    def _heard_complaints(self) -> bool:
        heard = os.lseek(2, 0, os.SEEK_END) > 0
        if heard:
            os.ftruncate(2, 0)
            os.lseek(2, 0, os.SEEK_SET)
        return heard


def _read(video: VideoInfo, times: Float64[np.ndarray, " t"]) -> Frames | None:
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
    if images is None or images.shape[1:] != (video.height, video.width, 3):
        return None
    return Frames(images[positions], pts_seconds[shown])
