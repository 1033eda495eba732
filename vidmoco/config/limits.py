"""What a video may be, and what looking at it or reading it may cost. Pure."""

from dataclasses import dataclass

from vidmoco.errors import VideoError


class LimitError(VideoError):
    """A video that passes a limit; ``limit`` is the limit as the catalog notes it."""

    def __init__(self, reason: str, *, limit: str) -> None:
        super().__init__(reason)
        self.limit = limit


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds that a stranger's file cannot pass; the defaults let everything real pass."""

    max_pixels: int = 8192 * 4320
    """Pixels of a picture; the default is 8K as cinemas and phones have it."""
    max_duration: float = 6 * 3600.0
    """Seconds of a video. assumption: longer ones are recordings of a day, or made up."""
    max_frames: int = 2_000_000
    """Frames of a video: six hours at 90 frames a second."""
    max_memory: int = 4 * 2**30
    """Bytes that a process may use for one video, on top of what it needs for itself."""
    max_seconds: float = 120.0
    """Seconds that a decoder may be silent, and of CPU time that it may use meanwhile."""

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
