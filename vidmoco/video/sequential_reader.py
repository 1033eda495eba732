"""Read all frames of a video in order, as they are displayed.

Worker processes import this module, so it imports PyAV and NumPy and little else.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from av.video.frame import VideoFrame

from vidmoco.config.frame_selection import TOLERANCE
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.errors import VideoError
from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.files import require_as_scanned
from vidmoco.video.frame_stream import Lost, coded_size, decoded_frames
from vidmoco.video.frames import NumberedPicture, TimedPicture
from vidmoco.video.info import VideoInfo

T = TypeVar("T")


def iter_frames(video: VideoInfo, **options: Any) -> Iterator[TimedPicture]:
    """Yield the frames of ``numbered_frames`` as (seconds from the first shown frame, RGB)."""
    for seconds, picture, _ in numbered_frames(video, **options):
        yield seconds, picture


def numbered_frames(
    video: VideoInfo,
    *,
    fps: float | None = None,
    every: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    damage: list[str] | None = None,
) -> Iterator[NumberedPicture]:
    """Yield the frames in order as (seconds from the first shown frame, displayed RGB, number).

    Frames that cannot be decoded without errors are left out, and counted in the numbers.

    Args:
        video: a row of the catalog.
        fps: take the frames shown at 0, 1/``fps``, 2/``fps``, … seconds, each once.
        every: take every n-th frame of those that can be decoded.
        limits: limits on the video.
        damage: gets one line at the end, if frames were left out.

    Raises:
        VideoError: no frame can be read.
    """
    lost: list[tuple[float, Lost]] = []
    good = _good_frames(video, limits, lost)
    taken = take_at_rate(good, fps) if fps is not None else take_every(good, every)
    any_good = False
    for seconds, (number, frame) in taken:
        any_good = True
        yield seconds, to_rgb(frame, coded_size=coded_size(video)), number
    conclude(video, any_good, lost, [] if damage is None else damage)


def conclude(
    video: VideoInfo, any_good: bool, lost: Sequence[tuple[float, Lost]], damage: list[str]
) -> None:
    """Append a line on the lost frames to ``damage``; raise ``VideoError`` if none was good."""
    if not any_good:
        reason = lost[0][1].reason if lost else "it has none"
        raise VideoError(f"{video.path}: no frame of it can be decoded: {reason}.")
    if lost:
        seconds, first = lost[0]
        damage.append(
            f"{video.path}: damaged frames left out: {len(lost)}, the first at {seconds:.3f} s: "
            f"{first.reason}."
        )


def _good_frames(
    video: VideoInfo, limits: Limits, lost: list[tuple[float, Lost]]
) -> Iterator[tuple[float, tuple[int, VideoFrame]]]:
    """Yield the good frames with their numbers, and append the others to ``lost``."""
    require_as_scanned(video)
    try:
        with open_video(video.path, limits=limits) as (container, stream):
            frames = enumerate(decoded_frames(container, stream, video))
            for number, (seconds, picture) in frames:
                if isinstance(picture, Lost):
                    lost.append((seconds, picture))
                else:
                    yield seconds, (number, picture)
    except VideoError as error:
        raise VideoError(f"{video.path}: {error}.") from error


def take_every(frames: Iterable[T], every: int) -> Iterator[T]:
    """Yield every n-th frame, starting with the first."""
    for index, frame in enumerate(frames):
        if index % every == 0:
            yield frame


def take_at_rate(frames: Iterable[tuple[float, T]], fps: float) -> Iterator[tuple[float, T]]:
    """Yield the frames shown at 0, 1/``fps``, 2/``fps``, … seconds, each once.

    A frame is shown from its pts to the next pts, and the last one as long as the one before it:

        time     0     1     2     3          fps = 1
        frames   a--b------c--d--d            a, b, c, d
    """
    previous: tuple[float, T] | None = None
    shown = 1 / fps
    for pts, frame in frames:
        if previous is not None:
            shown = pts - previous[0]
            if _has_sample(previous[0], pts, fps):
                yield previous
        previous = (pts, frame)
    if previous is not None and _has_sample(previous[0], previous[0] + shown, fps):
        yield previous


def _has_sample(start: float, end: float, fps: float) -> bool:
    """Return whether n / fps is in [start, end) for a whole n, with a tolerance."""
    return math.ceil((start - TOLERANCE) * fps) / fps < end - TOLERANCE
