"""Several frames of a video in one pass forward, by PyAV, for plain H.264 files.

Decoding begins at the last key frame before a wanted time, and ends when its frames have come. On
the way, pictures that no other picture needs and that nobody wants are not decoded: half of them
with usual settings of x264, and decord cannot leave them out (measured: docs/benchmarks.md).

Whatever is unusual, or damaged, is declined: then the exact reader has the word.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidmoco.errors import VideoError
from vidmoco.shapes import Float64
from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.decoded import coded_size, decode_listening, start_ticks
from vidmoco.video.frames import Frames
from vidmoco.video.info import VideoInfo
from vidmoco.video.limits import DEFAULT_LIMITS, Limits
from vidmoco.video.worker_process import still_alive

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
            with open_video(video.path, limits=self._limits) as (container, stream):
                return _read(container, stream, video, times.tolist())
        except (VideoError, av.FFmpegError) as error:
            if isinstance(error, MemoryError):
                raise
            return None  # the exact reader says what is wrong in plain words


def _read(
    container: InputContainer, stream: VideoStream, video: VideoInfo, times: list[float]
) -> Frames | None:
    base = stream.time_base or Fraction(1)
    start = start_ticks(video, base)
    pts_seconds: list[float] = []
    images: list[np.ndarray] = []
    groups = _groups(container, stream)
    group = next(groups, None)
    while len(images) < len(times):
        following = next(groups, None)
        end = math.inf if following is None else float((following[0].pts - start) * base)
        time = times[len(images)]
        if time >= end:
            group = following
            if time - end > video.keyframe_seconds:  # at least one group can be jumped over
                container.seek(start + math.floor(time / base), stream=stream, backward=True)
                groups = _groups(container, stream)
                group = next(groups, None)
            continue
        if group is None:
            return None
        shown = sorted((float((packet.pts - start) * base), packet.pts) for packet in group)
        wanted = []
        for time in times[len(images) :]:
            if time >= end:
                break
            place = bisect_right(shown, (max(time, 0.0), math.inf)) - 1
            if place < 0:
                return None
            wanted.append(shown[place])
        pictures = _decode_group(stream, group, {pts for _, pts in wanted}, video)
        if pictures is None:
            return None
        pts_seconds += [seconds for seconds, _ in wanted]
        images += [pictures[pts] for _, pts in wanted]
        group = following
    return Frames(np.stack(images), np.array(pts_seconds))


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
) -> dict[int, np.ndarray] | None:
    """Return the wanted pictures of a group by their raw times; None: not without errors."""
    still_alive()
    frames, error = decode_listening(
        lambda: list(_decode(stream.codec_context, group, wanted)), to_log=True
    )
    if error or len(frames) < len(wanted) or any(frame.is_corrupt for frame in frames):
        return None
    return {
        frame.pts: to_rgb(frame, coded_size=coded_size(video))
        for frame in frames
        if frame.pts is not None
    }


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
