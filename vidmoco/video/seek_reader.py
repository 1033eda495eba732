"""The exact reader: it returns the frame that is shown at a time, wherever a seek lands.

A seek lands where the container's index leads, which is not always before the wanted frame. And
pictures that follow a key frame in the file may be shown before it, and need frames that the seek
skipped. So decoding starts at a key frame, and frames shown before it are dropped. The place is
accepted only if the first remaining frame is not later than the wanted time, and is not damaged.
Otherwise the seek goes further back, and at last the video is read from its start.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction

import av
import numpy as np
from av.video.frame import VideoFrame

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.errors import VideoError
from vidmoco.shapes import UInt8
from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.frame_stream import Lost, Timed, coded_size, decoded_frames, start_ticks
from vidmoco.video.info import VideoInfo

# How far back further seeks go, in seconds. Measured: MPEG-TS usually needs one or two of them.
_STEPS_BACK = (2.0, 8.0, 32.0)
# Containers whose packets have their own times. In others a time may be computed from earlier
# packets, which a seek skips (measured wrong: MPEG-PS). Those are read from the start.
_SEEKABLE = frozenset({"mov", "matroska", "mpegts", "avi", "flv", "asf"})

# Decoders that notice damage at once (measured). That of MPEG-4 does not in its second picture, so
# it decodes the first of the file before a seek.
_ALERT = frozenset({"h264", "hevc", "vp8", "vp9", "av1"})


class SeekReader:
    """An open video with a position. Frames are (seconds from the first shown frame, frame)."""

    def __init__(self, video: VideoInfo, *, limits: Limits = DEFAULT_LIMITS) -> None:
        """Open the video.

        Raises:
            VideoError: it cannot be opened. The message is the reason, without the path.
        """
        self._video, self._limits = video, limits
        self._can_seek = not video.estimated_times and video.container in _SEEKABLE
        self._file = ExitStack()
        self._frames: Iterator[Timed] = iter(())
        self._shown: Timed | None = None
        self._ahead: Timed | None = None  # both are None where nothing is decoded yet
        self._trusted_from = 0.0  # damage before this time may only be due to a seek
        self._rewind()

    def __enter__(self) -> "SeekReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def at(self, seconds: float) -> tuple[float, VideoFrame]:
        """Return the frame that is shown at a time, and the frame's own time.

        The time must not be before that of the last call. After the end, the last frame is shown.

        Raises:
            VideoError: the frame is lost, or no frame can be decoded.
        """
        is_near = self._is_near(seconds)
        found = self._advance(seconds) if is_near else self._go_to(seconds)
        if is_near and self._can_seek and isinstance(found[1], Lost):
            found = self._go_to(seconds)
        began, frame = found
        if isinstance(frame, Lost):
            raise VideoError(f"it is damaged at {began:.3f} s: {frame.reason}")
        return began, frame

    def frames(self, start: float) -> Iterator[Timed]:
        """Yield all frames from the one that is shown at a time on, lost ones in their places."""
        found = self._advance(start) if self._is_near(start) else self._go_to(start)
        while True:
            if isinstance(found[1], Lost) and found[0] < self._trusted_from:
                found = self._go_to(found[0])
            yield found
            if self._ahead is None:
                return
            self._shown = found = self._ahead
            self._ahead = next(self._frames, None)

    def rgb(self, frame: VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
        """Return a frame as it is displayed."""
        return to_rgb(frame, coded_size=coded_size(self._video))

    def _rewind(self) -> None:
        self._file.close()
        self._container, self._stream = self._file.enter_context(
            open_video(self._video.path, limits=self._limits)
        )
        self._trusted_from = 0.0
        self._frames = decoded_frames(self._container, self._stream, self._video)
        self._shown = self._ahead = None
        if self._video.codec not in _ALERT:
            self._ahead = next(self._frames, None)

    def _is_near(self, seconds: float) -> bool:
        """Return whether to decode up to a time, instead of seeking to it."""
        here = self._shown or self._ahead
        away = seconds - (here[0] if here else 0.0)
        return not self._can_seek or away <= self._video.keyframe_seconds

    def _advance(self, seconds: float) -> Timed:
        """Decode up to a time, and return the frame that is shown then."""
        if self._shown is None and self._ahead is None:
            self._ahead = next(self._frames, None)
        while self._ahead is not None and (self._shown is None or self._ahead[0] <= seconds):
            self._shown, self._ahead = self._ahead, next(self._frames, None)
        if self._shown is None:
            raise VideoError("no frame of it can be decoded")
        return self._shown

    def _go_to(self, seconds: float) -> Timed:
        """Seek, and return the frame that a decode from the start would show at a time.

        If pictures after the key frame need earlier ones, a decoder reports damage where there is
        none. So damage is believed only if decoding began at least one group of pictures earlier.
        """
        if self._can_seek:
            gop = self._video.keyframe_seconds
            for back in sorted({0.0, gop, *_STEPS_BACK}):
                if seconds <= back or not self._seek(seconds - back, until=seconds):
                    break
                if self._ahead is not None and self._ahead[0] <= seconds:
                    self._trusted_from = self._ahead[0] + gop
                    found = self._advance(seconds)
                    if not isinstance(found[1], Lost) or self._trusted_from <= seconds:
                        return found
        self._rewind()
        return self._advance(seconds)

    def _seek(self, seconds: float, *, until: float) -> bool:
        """Go to a key frame that is shown by ``until``. Return False if the file cannot seek."""
        base = self._stream.time_base or Fraction(1)
        ticks = start_ticks(self._video, base) + math.floor(seconds / base)
        try:
            self._container.seek(ticks, stream=self._stream, backward=True)
        except av.MemoryError:
            raise
        except av.FFmpegError:  # there is no index, or no key frame before that time
            return False
        self._frames = decoded_frames(
            self._container, self._stream, self._video, after_seek=True, until=until
        )
        self._shown, self._ahead = None, next(self._frames, None)
        return True
