"""Read frames with decord, for the files that the routing rule gives it.

Only worker processes use it, because decord may hang or crash. decord does not report damage to its
caller (measured: in files with flipped bytes, 5 % of the frames are those of another time). But its
FFmpeg logs errors on stderr, which a separate process can capture.
"""

import os
import sys
import tempfile

# Imported before decord, whose libraries (FFmpeg among them) would replace theirs. A process that
# needs torch has imported it by now.
import av  # noqa: F401
import numpy as np

from vidmoco.shapes import Float64
from vidmoco.video.frames import Frames
from vidmoco.video.info import VideoInfo

import decord  # isort: skip


class DecordReader:
    """decord with a capture of this process's stderr. A process needs only one."""

    def __init__(self) -> None:
        """Duplicate stderr for Python, and redirect the old descriptor to a file for FFmpeg."""
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8")
        self._complaints = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (for life)
        os.dup2(self._complaints.fileno(), 2)
        decord.logging.set_level(decord.logging.ERROR)

    def read(self, video: VideoInfo, times: Float64[np.ndarray, " t"]) -> Frames | None:
        """Return the frames shown at increasing times, or None if decord cannot be trusted.

        That is the case if the video is routed elsewhere, if decord fails or sees another video
        than the scan, or if its FFmpeg logs an error.
        """
        if video.route != "decord":
            return None
        frames = _read(video, times)
        return None if self._logged_errors() else frames

    def _logged_errors(self) -> bool:
        logged = os.lseek(2, 0, os.SEEK_END) > 0
        if logged:
            os.ftruncate(2, 0)
            os.lseek(2, 0, os.SEEK_SET)
        return logged


def _read(video: VideoInfo, times: Float64[np.ndarray, " t"]) -> Frames | None:
    try:
        reader = decord.VideoReader(os.fspath(video.path), ctx=decord.cpu(0), num_threads=1)
        if len(reader) != video.num_frames:
            return None
        # float32 seconds, which are finer than a tick of the clock (routes.DECORD_MAX_TICKS).
        rounded = reader.get_frame_timestamp(range(len(reader)))[:, 0].astype(np.float64)
        pts_seconds = np.rint(rounded * video.ticks_per_second) / video.ticks_per_second
        shown = (np.searchsorted(pts_seconds, times, side="right") - 1).clip(0)
        indices, positions = np.unique(shown, return_inverse=True)
        images = reader.get_batch(indices.tolist()).asnumpy() if len(indices) else None
    except (decord.DECORDError, RuntimeError, IndexError):
        return None  # PyAV gives a better message about damage
    if images is None or images.shape[1:] != (video.height, video.width, 3):
        return None
    return Frames(images[positions], pts_seconds[shown])
