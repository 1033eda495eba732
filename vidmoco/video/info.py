"""A row of the catalog: what the scan found out about one video. Imports nothing heavy."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Route = Literal["decord", "pyav", "refused"]


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """One video file: its properties, its decoder, or why it is refused.

    Times are in seconds from the first shown frame, except for those called raw.
    """

    root: str
    """Absolute folder that was scanned, or the folder of a single file."""
    key: str
    """Path relative to ``root``, with ``/``. An unreadable folder ends with ``/``."""
    num_bytes: int
    """Size of the file at the scan."""
    mtime_ns: int
    """Time of the last change in nanoseconds, or 0 if the next scan must inspect the file again."""
    ctime_ns: int = 0
    """Time of the last change of the content or of what the file system says of the file, in
    nanoseconds. No program can set it, so equal ones tell that nothing has changed."""
    content: str = ""
    """Hash of the file's content (``vidmoco.content``), or empty if it cannot be read."""
    container: str = ""
    """FFmpeg's (first) name of the container format, such as ``mov``, or empty if unknown."""
    codec: str = ""
    """FFmpeg's name of the codec, or empty if unknown."""
    pixel_format: str = ""
    """FFmpeg's name of the pixel format, or empty if unknown."""
    width: int = 0
    """Width of the displayed picture in pixels, after rotation, before the sample aspect ratio."""
    height: int = 0
    """Height of the displayed picture in pixels."""
    coded_width: int = 0
    """Width of the coded picture in pixels, with the codec's padding."""
    coded_height: int = 0
    """Height of the coded picture in pixels."""
    rotation: int = 0
    """Degrees counter-clockwise (0, 90, 180, 270) from the coded to the displayed picture, as in
    ``np.rot90(picture, rotation // 90)``."""
    sample_aspect_ratio: float = 1.0
    """Width / height of a pixel of the displayed picture, or 1 if unknown."""
    color_range: Literal["", "limited", "full"] = ""
    """Whether black to white is 16 to 235 or 0 to 255 (in 8 bits), or empty if unknown."""
    hdr: Literal["", "pq", "hlg"] = ""
    """The transfer function of an HDR video (ITU-R BT.2100). Frames are not tone-mapped."""
    num_frames: int = 0
    """Number of frames that a player would show, counted by packets."""
    start_seconds: float = 0.0
    """Raw time of the first shown frame."""
    last_seconds: float = 0.0
    """Time of the last frame."""
    duration_seconds: float = 0.0
    """End of the last frame. A frame is shown at every time before it."""
    frame_rate: float = 0.0
    """Average frames per second."""
    variable_rate: bool = False
    """Whether the gaps between frames vary."""
    keyframe_seconds: float = 0.0
    """Largest gap between key frames."""
    edit_list: bool = False
    """Whether some packets are decoded but not shown."""
    leading_pictures: bool = False
    """Whether a picture follows a key frame in the file but is shown before it (open GOP)."""
    estimated_times: bool = False
    """Whether the file's times are missing or out of order, so that frames are counted from the
    start. Frame i is shown at i / frame_rate, unless ``frame_ticks`` has its time."""
    filled_times: int = 0
    """Number of frames of which the file has no usable time. It is filled in between others."""
    frame_ticks: bytes = field(default=b"", repr=False)
    """With ``estimated_times``, if the gaps vary: the times of all frames (``video/ticks.py``)."""
    ticks_per_second: int = 0
    """Ticks per second of the file's clock, or 0 if that is not a whole number."""
    route: Route = "refused"
    """The decoder of the video."""
    reason: str = ""
    """Why it is not routed to decord, or why it is refused. Empty for decord."""
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
