"""A video whose features are wanted, and where they go."""

from dataclasses import dataclass
from pathlib import Path

from vidmoco.config.frame_selection import EVERY_FRAME, FrameSelection
from vidmoco.content import content_of
from vidmoco.errors import ConfigError
from vidmoco.urls import is_url, without_passwords
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

    def require_same(self, known: str, *, where: str) -> None:
        """Refuse to replace the features of another video that has the same name.

        Args:
            known: source of the features that are there.
            where: what they are called.

        Raises:
            ConfigError: they are of another file, which is still there, or of another URL.
        """
        other = Path(known)
        if known == self.source or not (is_url(other) or other.exists()):
            return
        if self.video.content and content_of(other) == self.video.content:
            return
        raise ConfigError(
            f"{where} has the features of {known}, which those of {self.source} would replace. "
            "Give both together, their common parent folder, another -o, or --overwrite."
        )

    def named(self, text: str) -> str:
        """Return a message with the URL in place of the path that it was fetched to."""
        return text.replace(str(self.video.path), self.source)
