"""Exact reading with PyAV: the frame that is shown at a time, wherever a seek may land.

A seek lands where the container's index leads it, which is not always before the wanted frame, and
what follows a key frame in the file may be shown before it and need frames that were skipped. So:
decoding starts at a key frame; frames shown before that key frame are dropped; and the place is
accepted only when the first frame left is not later than the wanted time. Else the seek goes
further back, and at last the video is read from its start.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidmoco.errors import VideoError
from vidmoco.shapes import UInt8
from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.info import VideoInfo

# How much further back a second and a third seek go, in seconds. Measured: open GOP needs the
# second in one of twenty cases, MPEG-TS one or two more in most.
_STEPS_BACK = (0.0, 2.0, 8.0)
# Containers whose packets have their own times. Elsewhere (measured wrong: MPEG-PS) a time may be
# reckoned from the packets before, which a seek skips, and videos are read from the start.
_SEEKABLE = frozenset({"mov", "matroska", "mpegts", "avi", "flv", "asf"})


_Timed = tuple[float, VideoFrame]


class ExactReader:
    """One open video and a place in it. Frames are (seconds from the first shown frame, frame)."""

    def __init__(self, video: VideoInfo) -> None:
        """Open the video; its first frames are decoded.

        Raises:
            VideoError: it cannot be opened or decoded (the reason, without the path).
        """
        self._video = video
        self._file = ExitStack()
        self._frames: Iterator[_Timed] = iter(())
        self._shown: _Timed | None = None
        self._ahead: _Timed | None = None
        self._rewind()

    def __enter__(self) -> "ExactReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def at(self, seconds: float) -> tuple[float, VideoFrame]:
        """Return the frame that is shown at a time, and when its showing began.

        Args:
            seconds: from the first shown frame, not before the time of the last call. A time after
                the end gives the last frame.
        """
        here = self._shown or self._ahead
        if here is not None and seconds - here[0] > self._video.keyframe_seconds:
            self._seek(seconds)
        while self._ahead is not None and (self._shown is None or self._ahead[0] <= seconds):
            self._shown, self._ahead = self._ahead, next(self._frames, None)
        if self._shown is None:
            raise VideoError("no frame of it can be decoded")
        return self._shown

    def rgb(self, frame: VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
        """Return a frame as it is displayed."""
        return to_rgb(frame, coded_size=coded_size(self._video))

    def _rewind(self) -> None:
        self._file.close()
        self._container, self._stream = self._file.enter_context(open_video(self._video.path))
        self._take(decoded_frames(self._container, self._stream, self._video))

    def _take(self, frames: Iterator[_Timed]) -> None:
        self._frames = frames
        self._shown = None
        self._ahead = next(frames, None)

    def _seek(self, seconds: float) -> None:
        """Go to a place from which decoding gives the frame at ``seconds`` as in a full decode."""
        if self._video.estimated_times or self._video.container not in _SEEKABLE:
            return  # frames are counted, or read in order
        base = self._stream.time_base or Fraction(1)
        start = start_ticks(self._video, base)
        for back in _STEPS_BACK:
            if seconds <= back:
                break
            self._container.seek(
                start + math.floor((seconds - back) / base), stream=self._stream, backward=True
            )
            self._take(decoded_frames(self._container, self._stream, self._video, after_seek=True))
            # A damaged key frame is patched up from those before it, which the seek has skipped.
            if self._ahead is None or self._ahead[1].is_corrupt:
                break
            if self._ahead[0] <= seconds:
                return
        self._rewind()


def decoded_frames(
    container: InputContainer,
    stream: VideoStream,
    video: VideoInfo,
    *,
    after_seek: bool = False,
    damage: list[str] | None = None,
) -> Iterator[tuple[float, VideoFrame]]:
    """Yield (seconds, frame) in the order of showing, from where the container is.

    Args:
        container: the opened file.
        stream: its video.
        video: the file's row.
        after_seek: begin at the next key frame, and with what is shown from then on.
        damage: what cannot be decoded is left out and noted here; None: it is an error. A picture
            that is decoded with errors is kept in either case.

    Raises:
        VideoError: something cannot be decoded (the reason, without the path).
    """
    # After a seek FFmpeg 8 itself withholds what it cannot decode; that it does is not relied upon.
    base = stream.time_base or Fraction(1)
    start = start_ticks(video, base)
    earliest, last, count = start, -1.0, 0
    wait_for_key = after_seek
    for packet, ended_by in _packets(container, stream):
        if wait_for_key and packet is not None and packet.size:
            if not packet.is_keyframe or packet.pts is None:
                continue
            earliest, wait_for_key = max(start, packet.pts), False
        frames: list[VideoFrame] = []
        error = ended_by
        try:
            frames = stream.decode(packet)  # None: what the decoder still holds
        except av.FFmpegError as failure:
            error = error or failure
        if error is not None:
            reason = str(error.strerror or error)
            if damage is None:
                raise VideoError(f"it is damaged: {reason}") from error
            damage.append(reason)
        for frame in frames:
            if frame.is_corrupt and damage is not None:
                damage.append("a picture decoded with errors")
            if video.estimated_times:
                seconds = count / video.frame_rate
                count += 1
            elif frame.pts is None or frame.pts < earliest:
                continue
            else:
                seconds = float((frame.pts - start) * base)
            if seconds > last:
                last = seconds
                yield seconds, frame
            elif damage is None:
                raise VideoError("its times are out of order")
            else:
                damage.append("a picture whose time is not after the one before")


def _packets(
    container: InputContainer, stream: VideoStream
) -> Iterator[tuple[Any, av.FFmpegError | None]]:
    """Yield (packet, None) for each packet, and at the end (None, the error that ended it)."""
    error = None
    try:
        for packet in container.demux(stream):
            if packet.size:  # an empty one in the middle would end the decoding
                yield packet, None
    except av.FFmpegError as failure:
        error = failure
    yield None, error


def start_ticks(video: VideoInfo, base: Fraction) -> int:
    """Return the raw time of the first shown frame on the clock of the file."""
    return round(video.start_seconds / base)


def coded_size(video: VideoInfo) -> tuple[int, int]:
    """Return (width, height) of the picture before it is turned."""
    turned = video.rotation in (90, 270)
    return (video.height, video.width) if turned else (video.width, video.height)
