"""Several frames of a video in one pass forward, by PyAV, for plain H.264 files.

Decoding begins at the last key frame before a wanted time, and ends when its frames have come. On
the way, pictures that no other picture needs and that nobody wants are not decoded: half of them
with usual settings of x264, and decord cannot leave them out (measured: docs/benchmarks.md).

Whatever is unusual, or damaged, is declined: then the exact reader has the word.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import groupby, islice
from typing import Any

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.errors import VideoError
from vidmoco.shapes import Float64
from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.frame_stream import coded_size, decode_listening, start_ticks
from vidmoco.video.frames import Frames, TimedPicture
from vidmoco.video.info import VideoInfo
from vidmoco.workers.process import still_alive

_PICTURES_AT_ONCE = 4  # that wait, decoded, to be converted; bounds memory
_CONTAINERS = frozenset({"mov", "matroska"})  # they have an index, and times on every packet


def reads_forward(video: VideoInfo) -> bool:
    """Return whether a video is of the plain kind that this module reads.

    Each group of pictures stands alone (no leading pictures), all of them are shown (no edit list),
    and the times are the file's own.
    """
    return (
        video.codec == "h264"
        and video.container in _CONTAINERS
        and "420p" in video.pixel_format  # 4:4:4 is decoded otherwise after a start in the middle
        and video.route != "refused"
        and not (video.leading_pictures or video.edit_list or video.estimated_times)
    )


class ForwardReader:
    """A ``FastReader`` of what ``reads_forward``."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    def read(self, video: VideoInfo, times: Float64[np.ndarray, " t"]) -> Frames | None:
        """Return the frames shown at growing times, or None: ask the exact reader."""
        if not reads_forward(video):
            return None
        try:
            seconds, images = zip(
                *frames_forward(video, times.tolist(), limits=self._limits), strict=True
            )
        except VideoError:
            return None  # the exact reader says what is wrong in plain words
        return Frames(np.stack(images), np.array(seconds))


def frames_forward(
    video: VideoInfo, times: Sequence[float], *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[TimedPicture]:
    """Yield the frame that is shown at each of the growing ``times``, and when its showing began.

    Raises:
        VideoError: the video is damaged on the way, or unusual; all frames before it are right.
    """
    try:
        with open_video(video.path, limits=limits) as (container, stream):
            yield from _frames(container, stream, video, times)
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        raise VideoError(str(error)) from error


def _frames(
    container: InputContainer, stream: VideoStream, video: VideoInfo, times: Sequence[float]
) -> Iterator[TimedPicture]:
    base = stream.time_base or Fraction(1)
    start = start_ticks(video, base)

    def seconds_of(pts: int) -> float:  # what Fraction says, measured much faster
        return (pts - start) * base.numerator / base.denominator

    groups = _groups(container, stream)
    group = next(groups, None)
    done = 0
    while done < len(times):
        following = next(groups, None)
        end = math.inf if following is None else seconds_of(following[0].pts)
        if times[done] >= end:
            group = following
            if times[done] - end > video.keyframe_seconds:  # a whole group can be jumped over
                ticks = math.floor(times[done] / base)
                container.seek(start + ticks, stream=stream, backward=True)
                groups = _groups(container, stream)
                group = next(groups, None)
            continue
        if group is None:
            raise VideoError("it ends before its time")
        shown = sorted((seconds_of(packet.pts), packet.pts) for packet in group)
        here = times[done : bisect_left(times, end, lo=done)]
        places = [bisect_right(shown, (max(time, 0.0), math.inf)) - 1 for time in here]
        if places[0] < 0:
            raise VideoError("no key frame of it comes before a time at which it shows a frame")
        wanted = [shown[place] for place in places]
        pictures = _decode_group(stream, group, {pts for _, pts in wanted}, video)
        for (seconds, _), times_shown in groupby(wanted):
            picture = next(pictures)
            yield from ((seconds, picture) for _ in times_shown)
        done += len(here)
        group = following


def _groups(container: InputContainer, stream: VideoStream) -> Iterator[list[Any]]:
    """Yield the packets from each key frame to the next.

    Raises:
        VideoError: a packet is not as in a plain file.
    """
    group: list[Any] = []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None or packet.is_corrupt or packet.is_discard:
            raise VideoError("a packet of it is unusual")
        if packet.is_keyframe and group:
            yield group
            group = []
        if packet.is_keyframe or group:
            group.append(packet)
            if packet.pts < group[0].pts:
                raise VideoError("a picture comes before its key frame")
    if group:
        yield group


def _decode_group(
    stream: VideoStream, group: list[Any], wanted: set[int], video: VideoInfo
) -> Iterator[np.ndarray]:
    """Yield the wanted pictures of a group in the order of showing.

    Raises:
        VideoError: not all of them come, without errors and in this order.
    """
    decoding = _decode(stream.codec_context, group, wanted)
    for some in _batched(sorted(wanted), _PICTURES_AT_ONCE):
        still_alive()
        next_frames = partial(list[VideoFrame], islice(decoding, len(some)))
        frames, error = decode_listening(next_frames, to_log=True)
        come = [frame.pts for frame in frames]
        if error or come != some or any(frame.is_corrupt for frame in frames):
            raise VideoError(error or "a picture of it does not come whole")
        yield from (to_rgb(frame, coded_size=coded_size(video)) for frame in frames)


def _batched(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _decode(context: Any, group: list[Any], wanted: set[int]) -> Iterator[VideoFrame]:
    """Yield the wanted frames of a group as they come; leave out what nothing needs."""
    context.flush_buffers()
    missing = set(wanted)
    skip = ""
    for packet in [*group, None]:
        needed = "DEFAULT" if packet is None or packet.pts in wanted else "NONREF"
        if needed != skip:
            context.skip_frame = skip = needed
        for frame in context.decode(packet):
            if frame.pts in missing:
                missing.remove(frame.pts)
                yield frame
        if not missing:
            return
