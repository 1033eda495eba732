"""What a video may be, and what looking at it or reading it may cost."""

from dataclasses import dataclass

from vidmoco.config.base import Settings
from vidmoco.errors import VideoError


class LimitError(VideoError):
    """A video that passes a limit; ``limit`` is the limit as the catalog notes it."""

    def __init__(self, reason: str, *, limit: str) -> None:
        super().__init__(reason)
        self.limit = limit


@dataclass(frozen=True, kw_only=True)
class Limits(Settings):
    """What a video may be and may cost; all that is real passes the defaults."""

    max_pixels: int = 8192 * 4320
    """Refuse videos with more pixels in a picture; the default is 8K."""
    max_duration: float = 6 * 3600.0
    """Refuse videos longer than this, in seconds."""
    max_frames: int = 2_000_000
    """Refuse videos of more frames; the default is six hours at 90 frames a second."""
    max_memory_per_worker: float = 4.0
    """GiB that a decoding process may use for one video, on top of what it needs for itself."""
    max_seconds: float = 120.0
    """Seconds, of silence and of CPU time, after which a decoder is killed and its video
    skipped."""
    follow_links: bool = False
    """Also read what links lead to outside of the folders."""

    def __post_init__(self) -> None:
        self._require(1 <= self.max_pixels < 2**31, "max_pixels", "from 1 to 2^31 - 1")
        self._require(self.max_duration > 0, "max_duration", "greater than 0 seconds")
        self._require(self.max_frames >= 1, "max_frames", "at least 1")
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
        """Return the first limit that a video passes, as (its name, the reason); empty texts: none.

        Args:
            width: pixels.
            height: pixels.
            num_frames: frames that are shown.
            duration: seconds.
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
        """Raise ``LimitError`` for a video that passes a limit; the arguments are ``problem``'s."""
        name, reason = self.problem(**facts)  # type: ignore[arg-type]
        if name:
            raise LimitError(reason, limit=self.text_of(name))

    def text_of(self, name: str) -> str:
        """Return a limit with its value, as the catalog notes what refused a file."""
        return f"{name}={getattr(self, name)}"

    def seconds_of_silence(self, job: object) -> float:
        """Return ``max_seconds`` for any job of a worker process."""
        return self.max_seconds


DEFAULT_LIMITS = Limits()
