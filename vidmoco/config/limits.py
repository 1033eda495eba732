"""Limits on videos, and on the resources that inspecting or decoding one may use."""

from dataclasses import dataclass

from vidmoco.config.base import Settings
from vidmoco.errors import VideoError


class LimitError(VideoError):
    """A video exceeds a limit. ``limit`` is the limit as the catalog stores it."""

    def __init__(self, reason: str, *, limit: str) -> None:
        super().__init__(reason)
        self.limit = limit


@dataclass(frozen=True, kw_only=True)
class Limits(Settings):
    """Limits on a video and on its decoder. Real videos stay within the defaults."""

    max_pixels: int = 8192 * 4320
    """Refuse videos with more pixels per picture. The default is 8K."""
    max_duration: float = 6 * 3600.0
    """Refuse videos longer than this, in seconds."""
    max_frames: int = 2_000_000
    """Refuse videos with more frames. The default is six hours at 90 frames per second."""
    max_memory_per_worker: float = 4.0
    """Memory in GiB that a decoding process may use for one video, in addition to its own needs."""
    max_seconds: float = 120.0
    """A decoder that is silent, or uses the CPU, for this many seconds is killed, and its video is
    skipped."""
    follow_links: bool = False
    """Also follow symbolic links that lead out of the given folders."""

    def __post_init__(self) -> None:
        self._require(1 <= self.max_pixels < 2**31, "max_pixels", "from 1 to 2^31 - 1")
        self._positive("max_duration", unit=" seconds")
        self._at_least(1, "max_frames")
        self._require(
            0 < self.max_memory_per_worker <= 2**20,
            "max_memory_per_worker",
            "greater than 0 GiB, and at most 2^20",
        )
        self._require(
            0 < self.max_seconds <= 10**6, "max_seconds", "greater than 0 seconds, and at most 10^6"
        )

    @property
    def max_memory(self) -> int:
        """``max_memory_per_worker`` in bytes."""
        return round(self.max_memory_per_worker * 2**30)

    def problem(
        self, *, width: int = 0, height: int = 0, num_frames: int = 0, duration: float = 0.0
    ) -> tuple[str, str]:
        """Return the first limit that a video exceeds, as (name, reason), or two empty strings.

        ``width`` and ``height`` are in pixels, ``num_frames`` counts the frames that are shown, and
        ``duration`` is in seconds.
        """
        if width * height > self.max_pixels:
            reason = f"its picture of {width} x {height} has more than {self.max_pixels:,} pixels"
            return "max_pixels", f"{reason} (--max-pixels)"
        if num_frames > self.max_frames:
            return "max_frames", f"it has more than {self.max_frames:,} frames (--max-frames)"
        if duration > self.max_duration:
            reason = f"it lasts {duration:,.0f} s, longer than {self.max_duration:,.0f} s"
            return "max_duration", f"{reason} (--max-duration)"
        return "", ""

    def require(self, **facts: float) -> None:
        """Raise ``LimitError`` if a video exceeds a limit; takes the arguments of ``problem``."""
        name, reason = self.problem(**facts)  # type: ignore[arg-type]
        if name:
            raise LimitError(reason, limit=self.text_of(name))

    def text_of(self, name: str) -> str:
        """Return ``name=value``, as the catalog stores the limit that refused a file."""
        return f"{name}={getattr(self, name)}"


DEFAULT_LIMITS = Limits()
