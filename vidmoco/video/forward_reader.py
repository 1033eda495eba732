"""Read several frames of a plain H.264 file in one forward pass, with PyAV.

Decoding starts at the last key frame before a wanted time, and ends when the wanted frames are
there. Unwanted pictures that no other picture needs are skipped. With usual settings of x264 these
are half of all pictures, and decord cannot skip them (measured: docs/benchmarks.md).

The reader declines anything unusual or damaged, and the exact reader takes over.
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
from vidmoco.video.bitstream import PacketReader
from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.decoder import decode_listening, is_clean_start
from vidmoco.video.frame_stream import coded_size, start_ticks
from vidmoco.video.frames import Frames, TimedPicture
from vidmoco.video.info import VideoInfo
from vidmoco.workers.process import still_alive

# A seek in fragments goes by times of decoding, and may land a group late. Then it goes so many
# groups further back.
_GROUPS_BACK = (1.0, 4.0)
_PACKETS_PER_SIGN_OF_LIFE = 256  # that are read
_DECODED_PER_SIGN_OF_LIFE = 32
_MAX_GROUP_BYTES = 2**28  # assumption: larger ones are rare, and are not worth their memory
_PICTURES_AT_ONCE = 4  # decoded before they are converted to RGB; bounds memory
_CONTAINERS = frozenset({"mov", "matroska"})  # with an index, and times on every packet


def reads_forward(video: VideoInfo) -> bool:
    """Return whether this module reads a video.

    Each group of pictures must be independent (no leading pictures), all pictures are shown (no
    edit list), and the times are the file's own.
    """
    return (
        video.codec == "h264"
        and video.container in _CONTAINERS
        and "420p" in video.pixel_format  # 4:4:4 is decoded differently after a seek
        and video.route != "refused"
        and not (video.leading_pictures or video.edit_list or video.estimated_times)
    )


class ForwardReader:
    """A ``FastReader`` for the videos that ``reads_forward`` accepts."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    def read(self, video: VideoInfo, times: Float64[np.ndarray, " t"]) -> Frames | None:
        """Return the frames shown at increasing times, or None if the exact reader must read."""
        if not reads_forward(video):
            return None
        try:
            seconds, images = zip(
                *frames_forward(video, times.tolist(), limits=self._limits), strict=True
            )
        except VideoError:
            return None  # the exact reader gives a better message
        return Frames(np.stack(images), np.array(seconds))


def frames_forward(
    video: VideoInfo, times: Sequence[float], *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[TimedPicture]:
    """Yield the frame that is shown at each of the increasing ``times``, with its own time.

    Raises:
        VideoError: the video is damaged or unusual. All frames yielded before are correct.
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
    start, up, down = start_ticks(video, base), base.numerator, base.denominator

    def seconds_of(pts: int) -> float:  # measured: much faster than Fraction, with the same result
        return (pts - start) * up / down

    groups = _groups(container, stream, video)
    group = next(groups, None)
    done, may_seek = 0, True
    while done < len(times):
        following = next(groups, None)
        end = math.inf if following is None else seconds_of(following[0].pts)
        if times[done] >= end:
            group = following
            # A seek skips at least one group, if the index knows of it.
            if may_seek and following is not None and times[done] - end > video.keyframe_seconds:
                for back in (0.0, *_GROUPS_BACK):
                    ticks = math.floor((times[done] - back * video.keyframe_seconds) / base)
                    container.seek(start + ticks, stream=stream, backward=True)
                    groups = _groups(container, stream, video)
                    group = next(groups, None)
                    if group is not None and seconds_of(group[0].pts) <= times[done]:
                        break
                may_seek = group is not None and group[0].pts > following[0].pts
            continue
        if group is None:
            raise VideoError("it ends too early")
        shown = sorted(packet.pts for packet in group)
        here = times[done : bisect_left(times, end, lo=done)]
        places = [bisect_right(shown, max(time, 0.0), key=seconds_of) - 1 for time in here]
        if places[0] < 0:
            raise VideoError("no key frame precedes a time at which a frame is shown")
        wanted = [shown[place] for place in places]
        pictures = _decode_group(stream, group, set(wanted), video)
        for pts, times_shown in groupby(wanted):
            picture, seconds = next(pictures), seconds_of(pts)
            yield from ((seconds, picture) for _ in times_shown)
        done += len(here)
        group = following


def _groups(
    container: InputContainer, stream: VideoStream, video: VideoInfo
) -> Iterator[list[Any]]:
    """Yield the packets of each group, from a key frame to the next.

    Raises:
        VideoError: a packet is unusual, or a group is too large to be kept in memory.
    """
    group, num_bytes = list[Any](), 0
    reader = PacketReader(stream, container=video.container, codec=video.codec)
    for number, packet in enumerate(container.demux(stream)):
        if not packet.size:
            continue
        if number % _PACKETS_PER_SIGN_OF_LIFE == 0:
            still_alive()
        facts = reader.look(packet)
        if packet.pts is None or packet.is_corrupt or not facts.shown:
            raise VideoError("a packet of it is unusual")
        if facts.key and group:
            yield group
            group, num_bytes = [], 0
        if facts.key or group:
            group.append(packet)
            num_bytes += packet.size
            if num_bytes > _MAX_GROUP_BYTES:
                raise VideoError("a group of its pictures is very large")
            if packet.pts < group[0].pts:
                raise VideoError("a picture comes before its key frame")
    if group:
        yield group


def _decode_group(
    stream: VideoStream, group: list[Any], wanted: set[int], video: VideoInfo
) -> Iterator[np.ndarray]:
    """Yield the wanted pictures of a group in display order.

    Raises:
        VideoError: the decoder does not return all of them in this order without errors.
    """
    decoding = _decode(stream.codec_context, group, wanted)
    for expected in _batched(sorted(wanted), _PICTURES_AT_ONCE):
        still_alive()
        next_frames = partial(list[VideoFrame], islice(decoding, len(expected)))
        frames, error = decode_listening(next_frames, to_log=True)
        in_order = [frame.pts for frame in frames] == expected
        if error or not in_order or any(frame.is_corrupt for frame in frames):
            raise VideoError(error or "a picture of it is missing or not whole")
        yield from (to_rgb(frame, coded_size=coded_size(video)) for frame in frames)


def _batched(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _decode(context: Any, group: list[Any], wanted: set[int]) -> Iterator[VideoFrame]:
    """Yield the wanted frames of a group in decoding order. Skip pictures that no other needs."""
    context.flush_buffers()
    missing = set(wanted)
    skip, begun = "", False
    for number, packet in enumerate([*group, None]):
        if number % _DECODED_PER_SIGN_OF_LIFE == 0:
            still_alive()
        needed = "DEFAULT" if packet is None or packet.pts in wanted else "NONREF"
        if needed != skip:
            context.skip_frame = skip = needed
        for frame in context.decode(packet):
            if not begun and not (frame.pts == group[0].pts and is_clean_start(frame)):
                raise VideoError("a key frame of it is none")
            begun = True
            if frame.pts in missing:
                missing.remove(frame.pts)
                yield frame
        if not missing:
            return
