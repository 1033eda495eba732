"""Frames of a video, and the interface of fast readers."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from vidmoco.shapes import Float64, UInt8
from vidmoco.video.info import VideoInfo

TimedPicture = tuple[float, UInt8[np.ndarray, "h w 3"]]
"""Seconds from the first shown frame, and a displayed RGB picture."""
NumberedPicture = tuple[float, UInt8[np.ndarray, "h w 3"], int]
"""The same, and the number of the frame in display order, lost frames counted, or ``UNKNOWN``."""
UNKNOWN = -1


@dataclass(frozen=True)
class Frames:
    """Frames of one video."""

    images: UInt8[np.ndarray, "t h w 3"]
    """Displayed RGB pictures."""
    pts_seconds: Float64[np.ndarray, " t"]
    """The time of each frame, in seconds from the first shown frame of the video."""


@runtime_checkable
class FastReader(Protocol):
    """A decoder that may decline."""

    def read(self, video: VideoInfo, times: Float64[np.ndarray, " t"]) -> Frames | None:
        """Return the frames shown at increasing times, or None if the exact reader must read."""
