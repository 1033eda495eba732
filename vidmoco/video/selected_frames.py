"""Read the frames of a ``FrameSelection``: in one pass, by seeking, or only the key frames.

Whichever way, a frame has the picture and the time that it has in a pass from the start.
Worker processes import this module, so it imports PyAV and NumPy and little else.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from vidmoco.config.frame_selection import TOLERANCE, ClipSelection, FrameSelection
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.errors import VideoError
from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.decoder import decode_packet, packets
from vidmoco.video.files import require_as_scanned
from vidmoco.video.forward_reader import frames_forward, reads_forward
from vidmoco.video.frame_stream import (
    Lost,
    coded_size,
    decoded_frames,
    start_ticks,
)
from vidmoco.video.frames import UNKNOWN, NumberedPicture, TimedPicture
from vidmoco.video.info import VideoInfo
from vidmoco.video.seek_reader import SeekReader
from vidmoco.video.sequential_reader import conclude, numbered_frames, take_every
from vidmoco.video.shots import shots_of


@dataclass(frozen=True)
class SelectedFrames:
    """The frames of a selection, which are yet to be read."""

    frames: Iterator[NumberedPicture]
    """Raises ``VideoError`` where there is none that can be read. Numbers are ``UNKNOWN`` where
    frames before them are not read; ``FrameNumbers`` knows them."""
    shots: list[tuple[float, float]] = field(default_factory=list)
    """With ``scenes="all"``: when each shot begins and ends, in seconds."""
    damage: list[str] = field(default_factory=list)
    """After the last frame: a line, if damaged frames were left out."""


def select_frames(
    video: VideoInfo, selection: FrameSelection, *, limits: Limits = DEFAULT_LIMITS
) -> SelectedFrames:
    """Open a video for the frames of a selection, in order.

    Args:
        video: a row of the catalog.
        selection: the frames.
        limits: what the video may be.

    Raises:
        VideoError: the video is refused, or too short for the selection. The frames raise it if
            none can be read.
    """
    require_as_scanned(video)
    start, end = selection.start, math.inf if selection.end is None else selection.end
    is_part = bool(start) or end < math.inf
    stop = min(end, video.duration_seconds)
    if start > 0 and start >= video.duration_seconds:
        raise VideoError(
            f"{video.path}: it ends at {video.duration_seconds:.3f} s, and --start is {start:g}."
        )
    shots: list[tuple[float, float]] = []
    if selection.scenes is not None:
        shots = shots_of(video, limits=limits, start=start, end=end)
    damage: list[str] = []
    times: list[float] | None = None
    if selection.scenes in ("first", "middle"):
        share = 0.5 if selection.scenes == "middle" else 0.0
        times = [begin + share * (end - begin) for begin, end in shots]
        shots = []
    elif isinstance(selection, ClipSelection):
        times = _of_clips(video, selection, start, end)
    elif selection.num_frames is not None:
        times = selection.times_between(start, stop)
    elif selection.times:
        times = _within(video, selection.times, start, end)
    elif selection.fps is not None and (is_part or 1 / selection.fps > video.keyframe_seconds):
        times = selection.times_between(start, stop)
    if times is not None:
        repeated = bool(selection.times) or isinstance(selection, ClipSelection)
        frames = _at_times(video, times, limits, damage, repeated=repeated)
    elif selection.keyframes:
        frames = _key_frames(video, start, end, limits, damage)
    elif is_part:
        lost: list[tuple[float, Lost]] = []
        between = take_every(_between(video, start, end, limits, lost), selection.every)
        frames = _pictures(video, between, lost, damage)
    else:
        frames = numbered_frames(
            video, fps=selection.fps, every=selection.every, limits=limits, damage=damage
        )
    return SelectedFrames(frames, shots, damage)


def _within(video: VideoInfo, times: tuple[float, ...], start: float, end: float) -> list[float]:
    """Return the times of a range in ascending order."""
    late = max(times)
    if late > video.duration_seconds + TOLERANCE:
        raise VideoError(
            f"{video.path}: it ends at {video.duration_seconds:.3f} s, and has no frame at "
            f"{late:g} s."
        )
    return _between_flags(video, times, start, end)


def _of_clips(video: VideoInfo, selection: ClipSelection, start: float, end: float) -> list[float]:
    """Return the times of all clips in ascending order, each once: clips may overlap.

    Annotations are often rounded up, so a clip ends where the video ends at the latest.
    """
    length, times = video.duration_seconds, set[float]()
    for begin, stop in selection.clips:
        if begin > 0 and begin >= length:
            to = "its end" if stop is None else f"{stop:.3f} s"
            raise VideoError(
                f"{video.path}: it ends at {length:.3f} s, and its clip from {begin:.3f} s to {to} "
                "does not begin before that."
            )
        times.update(selection.times_between(begin, length if stop is None else min(stop, length)))
    return _between_flags(video, times, start, end)


def _between_flags(
    video: VideoInfo, times: Iterable[float], start: float, end: float
) -> list[float]:
    found = sorted(time for time in times if start <= time < end)
    if not found:
        raise VideoError(f"{video.path}: none of its times is between --start and --end.")
    return found


def _at_times(
    video: VideoInfo,
    times: list[float],
    limits: Limits,
    damage: list[str],
    *,
    repeated: bool,
) -> Iterator[NumberedPicture]:
    """Yield the frame that is shown at each of the increasing times; the same one perhaps once."""
    times = [time + TOLERANCE for time in times]
    lost: list[tuple[float, Lost]] = []
    last = -1.0
    for seconds, picture in _read_times(video, times, limits, lost):
        if repeated or seconds > last:
            yield seconds, picture, UNKNOWN
        last = seconds
    conclude(video, last >= 0, lost, damage)


def _read_times(
    video: VideoInfo, times: list[float], limits: Limits, lost: list[tuple[float, Lost]]
) -> Iterator[TimedPicture]:
    done = 0
    if reads_forward(video):
        try:
            for found in frames_forward(video, times, limits=limits):
                done += 1
                yield found
        except VideoError:
            pass  # it is damaged or unusual: the exact reader takes the other times
    if done == len(times):
        return
    try:
        with SeekReader(video, limits=limits) as reader:
            shown: TimedPicture | None = None
            for time in times[done:]:
                try:
                    seconds, frame = reader.at(time)
                except VideoError as error:
                    lost.append((time, Lost(str(error))))
                    continue
                if shown is None or seconds > shown[0]:
                    shown = seconds, reader.rgb(frame)
                yield shown
    except (VideoError, av.FFmpegError) as error:
        raise _named(video, error) from error


def _between(
    video: VideoInfo, start: float, end: float, limits: Limits, lost: list[tuple[float, Lost]]
) -> Iterator[tuple[float, VideoFrame]]:
    """Yield the frames that are shown in a range, and append the lost ones to ``lost``."""
    try:
        with SeekReader(video, limits=limits) as reader:
            for seconds, picture in reader.frames(start + TOLERANCE):
                if seconds >= end - TOLERANCE:
                    return
                if isinstance(picture, Lost):
                    lost.append((seconds, picture))
                else:
                    yield seconds, picture
    except (VideoError, av.FFmpegError) as error:
        raise _named(video, error) from error


def _key_frames(
    video: VideoInfo, start: float, end: float, limits: Limits, damage: list[str]
) -> Iterator[NumberedPicture]:
    """Yield the frames that the decoder calls key frames and that begin in a range.

    A decoder that skips the others gives up at the first doubt, and all frames are decoded.
    """
    lost: list[tuple[float, Lost]] = []
    last = -1.0
    for only_keys in (False,) if video.estimated_times else (True, False):
        lost.clear()
        try:
            with open_video(video.path, limits=limits) as (container, stream):
                reading = _only_key_frames if only_keys else decoded_frames
                for number, (seconds, frame) in enumerate(reading(container, stream, video)):
                    if seconds >= end - TOLERANCE:
                        break
                    if seconds <= last or seconds < start - TOLERANCE:
                        continue
                    if isinstance(frame, Lost):
                        lost.append((seconds, frame))
                    elif frame.key_frame:
                        last = seconds
                        picture = to_rgb(frame, coded_size=coded_size(video))
                        yield seconds, picture, UNKNOWN if only_keys else number
            break
        except (VideoError, av.FFmpegError) as error:
            if isinstance(error, MemoryError) or not only_keys:
                raise _named(video, error) from error
    if last < 0 and not lost:
        where = " between --start and --end" if start or end < math.inf else ""
        raise VideoError(f"{video.path}: its decoder names no key frame{where}.")
    conclude(video, last >= 0, lost, damage)


def _only_key_frames(
    container: InputContainer, stream: VideoStream, video: VideoInfo
) -> Iterator[tuple[float, VideoFrame]]:
    """Yield (seconds, frame) of what the decoder gives if it is told to skip all other frames.

    Raises:
        VideoError: anything is unusual or damaged. All frames yielded before are correct.
    """
    base = stream.time_base or Fraction(1)
    start = start_ticks(video, base)
    stream.codec_context.skip_frame = "NONKEY"
    last = -1.0
    for packet, error in packets(container, stream):
        frames, damage = decode_packet(stream, packet)
        if error or damage or (packet is not None and packet.is_corrupt):
            raise VideoError(error or damage or "a part of it is missing")
        for frame in frames:
            if not frame.key_frame or (frame.pts is not None and frame.pts < start):
                continue
            seconds = last if frame.pts is None else float((frame.pts - start) * base)
            if seconds <= last or frame.is_corrupt or frame.pict_type != PictureType.I:
                raise VideoError("a key frame of it is unusual")
            last = seconds
            yield seconds, frame


def _pictures(
    video: VideoInfo,
    frames: Iterable[tuple[float, VideoFrame]],
    lost: list[tuple[float, Lost]],
    damage: list[str],
) -> Iterator[NumberedPicture]:
    any_good = False
    for seconds, frame in frames:
        any_good = True
        yield seconds, to_rgb(frame, coded_size=coded_size(video)), UNKNOWN
    conclude(video, any_good, lost, damage)


def _named(video: VideoInfo, error: Exception) -> Exception:
    return error if isinstance(error, MemoryError) else VideoError(f"{video.path}: {error}.")
