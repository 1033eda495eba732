"""The frames of a video in display order, including the lost ones.

The decoder is told to stop at damage instead of concealing it. The packets say which pictures a
file shows, so a picture that the decoder does not return is noticed.
"""

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidmoco.video.bitstream import Facts, PacketReader
from vidmoco.video.decoder import GHOSTING, decode_packet, is_clean_start, packets
from vidmoco.video.info import VideoInfo
from vidmoco.video.ticks import unpacked

_CORRUPT = "its decoder marks it as corrupt"
NOT_DECODED = "the decoder does not return it"


@dataclass(frozen=True)
class Lost:
    """A frame that the file should show, but that cannot be decoded without errors."""

    reason: str


Timed = tuple[float, VideoFrame | Lost]


def decoded_frames(
    container: InputContainer,
    stream: VideoStream,
    video: VideoInfo,
    *,
    after_seek: bool = False,
    until: float = math.inf,
) -> Iterator[Timed]:
    """Yield (seconds, frame) in display order, from the container's position on.

    After an error every frame up to the next key frame is ``Lost``, because it depends on damaged
    data. So is a frame that the file holds but the decoder does not return. With ``after_seek`` the
    first frame is the next key frame, and frames that are shown before it are dropped. There is
    none if the next key frame is not shown by ``until``.
    """
    if video.estimated_times:
        yield from _counted(container, stream, video)
    else:
        yield from _timed(container, stream, video, until=until if after_seek else None)


def _timed(
    container: InputContainer, stream: VideoStream, video: VideoInfo, *, until: float | None
) -> Iterator[Timed]:
    base = stream.time_base or Fraction(1)
    start = start_ticks(video, base)
    due = Due(start)
    last = -1.0
    reader = PacketReader(stream, container=video.container, codec=video.codec)
    wait_for_key, unproven = until is not None, until is not None
    for packet, broken_off in packets(container, stream):
        facts = None if packet is None else reader.look(packet, unmarked=due.damaged)
        if wait_for_key and packet is not None and facts is not None:
            if packet.pts is not None and (packet.pts - start) * base > (until or 0.0):
                return
            if not facts.key or packet.pts is None:
                continue
            due.earliest, wait_for_key = max(start, packet.pts), False
        frames, error = decode_packet(stream, packet)
        if packet is not None and facts is not None and facts.any_picture:
            due.add(packet, facts, error=error)
        for frame in frames:
            for pts, picture in due.until(frame):
                if unproven and not (isinstance(picture, VideoFrame) and is_clean_start(picture)):
                    return  # the container's mark of a key frame is wrong
                unproven = False
                seconds = float((pts - start) * base)
                if seconds > last:
                    last = seconds
                    yield seconds, picture
        if packet is None:
            if unproven:
                return
            for pts, picture in due.rest():
                yield float((pts - start) * base), picture
            if error or broken_off:
                yield (
                    max(video.duration_seconds, math.nextafter(last, math.inf)),
                    Lost(broken_off or error),
                )


class Due:
    """The display times of decoded packets whose pictures are still to come, with their damage."""

    def __init__(self, earliest: int) -> None:
        self.earliest = earliest
        """Pictures before this time are not shown. It may change before the first packet."""
        self._times: list[int] = []  # a heap
        self._lost: dict[int, str] = {}
        self._damage = ""
        self._key = self._clean_from = earliest
        self._first_field: int | None = None
        self._only_key = True  # of all packets so far only key frames have times
        self._reliable = True  # all pictures so far had the time of a packet

    def add(self, packet: "Packet[Any]", facts: Facts, *, error: str) -> None:
        """Add a packet that has been decoded, perhaps with an error."""
        if facts.key and packet.pts is not None:
            self._key = packet.pts
            if self._damage:
                self._damage, self._clean_from = "", self._key
        if packet.is_corrupt:
            error = error or "a part of it is missing"
        pts = self._first_field if facts.second_field else packet.pts
        # The first leading pictures of a file that was cut may have no time, as it was negative.
        self._only_key &= facts.key or pts is None
        leads = pts < self._key if pts is not None else self._only_key and not facts.key
        if error and leads:
            self._clean_from = self._key  # only pictures before the key frame depend on it
        else:
            self._damage = self._damage or error
        if facts.second_field and error and pts is not None:
            self._lost[pts] = error
        if pts is None or pts < self.earliest or not facts.shown:
            return
        self._first_field = pts
        heapq.heappush(self._times, pts)
        if self._damage or pts < self._clean_from:
            self._lost[pts] = self._damage or error or "it depends on damaged pictures"

    @property
    def damaged(self) -> bool:
        """Whether pictures are lost until the next key frame."""
        return bool(self._damage)

    def until(self, frame: VideoFrame) -> Iterator[tuple[int, VideoFrame | Lost]]:
        """Yield the pictures up to and including a decoded one, which may be damaged itself."""
        pts = frame.pts
        if pts is None or pts < self.earliest:
            return
        while self._times and self._times[0] < pts:
            time = heapq.heappop(self._times)
            if self._reliable or time in self._lost:
                yield time, Lost(self._lost.pop(time, NOT_DECODED))
        if self._times and self._times[0] == pts:
            heapq.heappop(self._times)
        else:
            self._reliable = False  # an unusual file, whose times do not show what is missing
        if frame.is_corrupt:
            self._damage_from(pts)
        reason = self._lost.pop(pts, _CORRUPT if frame.is_corrupt else "")
        yield pts, Lost(reason) if reason else frame

    def _damage_from(self, pts: int) -> None:
        """Mark the pictures after a damaged one as lost, up to the next key frame."""
        if self._key <= pts:
            self._damage = self._damage or _CORRUPT
        self._lost.update((time, _CORRUPT) for time in self._times if pts < time < self._key)
        if self._damage:
            self._lost.update((time, self._damage) for time in self._times if time > pts)

    def rest(self) -> Iterator[tuple[int, Lost]]:
        """Yield the pictures that are missing after the last packet."""
        for time in sorted(self._times):
            if self._reliable or time in self._lost:
                yield time, Lost(self._lost.get(time, NOT_DECODED))


def _counted(container: InputContainer, stream: VideoStream, video: VideoInfo) -> Iterator[Timed]:
    """Like ``decoded_frames``, for frames without times. All frames after an error are lost."""
    seconds_of = seconds_by_count(stream, video)
    count, damage = 0, ""
    for frame, error in counted_pictures(container, stream, video.container, video.codec):
        damage = damage or error
        if frame is not None:
            yield seconds_of(count), Lost(damage) if damage else frame
            count += 1
    if damage:
        for index in range(count, video.num_frames):
            yield seconds_of(index), Lost(damage)


def seconds_by_count(stream: VideoStream, video: VideoInfo) -> Callable[[int], float]:
    """Return the time of the n-th frame of a video with ``estimated_times``, as a function."""
    base = stream.time_base or Fraction(1)
    ticks = unpacked(video.frame_ticks, video.num_frames)

    def seconds_of(count: int) -> float:
        if count < len(ticks):
            return float((ticks[count] - ticks[0]) * base)
        beyond = len(ticks) and count - len(ticks) + 1
        return (video.last_seconds if beyond else 0.0) + (beyond or count) / video.frame_rate

    return seconds_of


def counted_pictures(
    container: InputContainer,
    stream: VideoStream,
    container_name: str,
    codec: str,
    *,
    number: bool = False,
) -> Iterator[tuple[VideoFrame | None, str]]:
    """Yield (picture, error) as decoded, from the first picture that can be shown on.

    With ``number`` a picture's time is the number of its packet among those that show one, and may
    be None.
    """
    reader = PacketReader(stream, container=container_name, codec=codec)
    started, inside, shown = False, None, 0
    for packet, broken_off in packets(container, stream):
        if packet is not None:
            facts = reader.look(packet)
            if inside is None and facts.any_picture:
                inside = not facts.hidden and reader.is_inside(packet, facts)
            if number:
                packet.pts, packet.dts = shown, None
                shown += facts.shown
        frames, error = decode_packet(stream, packet)
        if packet is not None and not facts.any_picture:
            error = ""
        if (error or broken_off) and (started or not inside):
            yield None, broken_off or error
        for frame in frames:
            if not started and inside and codec in GHOSTING and not is_clean_start(frame):
                continue
            started = True
            yield frame, _CORRUPT if frame.is_corrupt else ""


def start_ticks(video: VideoInfo, base: Fraction) -> int:
    """Return the raw time of the first shown frame in ticks of ``base`` seconds."""
    return round(video.start_seconds / base)


def coded_size(video: VideoInfo) -> tuple[int, int]:
    """Return (width, height) of the picture before rotation."""
    rotated = video.rotation in (90, 270)
    return (video.height, video.width) if rotated else (video.width, video.height)
