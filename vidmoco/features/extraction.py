"""A video whose features are wanted, and where they go."""

from dataclasses import dataclass
from pathlib import Path

from vidmoco.config.frame_selection import EVERY_FRAME, FrameSelection
from vidmoco.urls import without_passwords
from vidmoco.video.info import VideoInfo


@dataclass(frozen=True)
class Extraction:
    """A video, and the file for its features."""

    video: VideoInfo
    """A row of the catalog."""
    output: Path
    """A file whose suffix is `.npy` or `.parquet`."""
    selection: FrameSelection = EVERY_FRAME
    """The frames to take."""
    name: str = ""
    """What messages call it."""
    full_name: str = ""
    """The name that the file would have but for its length, without the suffix; else empty."""
    url: str = ""
    """Where the video was fetched from, or empty for a local one."""
    labels: tuple[str | None, ...] = ()
    """What a CSV file says of the video."""

    @property
    def source(self) -> str:
        """The path of the video, or its URL without what signs it: that is kept in files."""
        return without_passwords(self.url) or str(self.video.path)

    def named(self, text: str) -> str:
        """Return a message with the URL in place of the path that it was fetched to."""
        return text.replace(str(self.video.path), self.source)
