"""What the scan knows of one video: a row of the catalog. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Route = Literal["decord", "pyav", "refused"]


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """One video file: what it is, how it may be read, or why it is refused.

    Times are in seconds from the first shown frame, unless they are called raw.
    """

    root: str
    """Absolute folder that was scanned, or the folder of a single file."""
    key: str
    """Path below ``root``, with ``/``; a folder that cannot be listed ends with ``/``."""
    num_bytes: int
    """Size of the file at the scan."""
    mtime_ns: int
    """Time of the last change of the file, in nanoseconds; 0: look again at the next scan."""
    container: str = ""
    """FFmpeg's (first) name of the container format: ``mov``, ``matroska`` …; empty: unknown."""
    codec: str = ""
    """FFmpeg's name of the codec; empty: unknown."""
    pixel_format: str = ""
    """FFmpeg's name of the pixel format; empty: unknown."""
    width: int = 0
    """Width of the displayed picture in pixels: after rotation, before the sample aspect ratio."""
    height: int = 0
    """Height of the displayed picture in pixels."""
    coded_width: int = 0
    """Width of the picture as it is coded, with the padding that the codec needs."""
    coded_height: int = 0
    """Height of the picture as it is coded."""
    rotation: int = 0
    """Degrees counter-clockwise (0, 90, 180, 270) from the coded to the displayed picture, as in
    ``np.rot90(picture, rotation // 90)``."""
    sample_aspect_ratio: float = 1.0
    """Width to height of a pixel of the displayed picture; 1 when unknown."""
    color_range: Literal["", "limited", "full"] = ""
    """Whether black to white is 16 to 235 or 0 to 255 (of 8 bits); empty: not said."""
    hdr: Literal["", "pq", "hlg"] = ""
    """The transfer function of a high dynamic range (ITU-R BT.2100), which is not tone-mapped."""
    num_frames: int = 0
    """Frames that a player would show, counted by their packets."""
    start_seconds: float = 0.0
    """Raw time of the first shown frame."""
    last_seconds: float = 0.0
    """When the last frame begins to be shown."""
    duration_seconds: float = 0.0
    """From the first shown frame to the end of the last; at each t before it a frame is shown."""
    frame_rate: float = 0.0
    """Average frames a second."""
    variable_rate: bool = False
    """The distances of frames vary."""
    keyframe_seconds: float = 0.0
    """Greatest distance of key frames."""
    edit_list: bool = False
    """Some packets are decoded but not shown."""
    leading_pictures: bool = False
    """Some pictures follow a key frame in the file and come before it on the screen (open GOP)."""
    estimated_times: bool = False
    """The file's times are missing or out of order: frame i is shown at i / frame_rate."""
    ticks_per_second: int = 0
    """The clock of the file, whose ticks all its times are; 0: not a whole number."""
    route: Route = "refused"
    """What reads the video."""
    reason: str = ""
    """Why it is not routed to decord, or why it is refused; empty for decord."""
    limit: str = ""
    """The limit that refused it, with its value at the scan: ``max_pixels=35389440``."""

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.root) / self.key

    @property
    def aspect_ratio(self) -> float:
        """Width to height of the picture on the screen; 1 for a refused video."""
        return self.width * self.sample_aspect_ratio / self.height if self.height else 1.0
