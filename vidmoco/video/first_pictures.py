"""Decode the first pictures of a video, to find the one that a player shows first."""

from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import av.logging
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidmoco.config.limits import LimitError, Limits
from vidmoco.errors import VideoError
from vidmoco.video.bitstream import Facts, PacketReader
from vidmoco.video.container import open_video
from vidmoco.video.decoder import GHOSTING, decode_packet, is_clean_start
from vidmoco.video.frame_stream import Due, Lost

_PACKETS_TO_A_HEADER = 100


class FirstPictures:
    """The first pictures that the decoder returns."""

    def __init__(self, stream: VideoStream, reader: PacketReader, *, codec: str) -> None:
        self._stream, self._reader, self._codec = stream, reader, codec
        self._due = Due(earliest=-(2**63))
        self._any_lost = False
        self._inside: bool | None = None
        self._key = 2**63 - 1  # time of the key frame with which the file begins
        self.first: VideoFrame | None = None
        """The first undamaged picture."""
        self.start: int | None = None
        """The time of the first picture that is shown, damaged or not."""
        self.pts: list[int | None] = []
        """The times of all pictures, as they are decoded."""
        self.delay = -1
        """Number of pictures that the decoder waits for before it returns the first."""

    def decode(self, packet: "Packet[Any]", facts: Facts) -> None:
        """Decode a packet. An empty one flushes the decoder."""
        if self._inside is None and facts.any_picture:
            self._inside = not facts.hidden and self._reader.is_inside(packet, facts)
            if not self._inside and packet.pts is not None:
                self._key = packet.pts
        frames, error = decode_packet(self._stream, packet if packet.size else None)
        if facts.any_picture:
            self._due.add(packet, facts, error=error)
            self._any_lost |= bool(error)
        if not self.pts:
            self.delay += facts.shown
        for frame in frames:
            self.pts.append(frame.pts)
            if frame.pts is None and (self._inside or not self._any_lost):
                self._take(None, frame)
            for pts, picture in self._due.until(frame):
                self._take(pts, picture)

    def _take(self, pts: int | None, picture: VideoFrame | Lost) -> None:
        if isinstance(picture, Lost):
            # Leading pictures at the start of a file need frames that it does not have. So do
            # all pictures before the first key frame of a file that begins inside a group. HEVC
            # drops leading pictures, and H.264 raises errors.
            leads = pts is None or pts < self._key
            if leads or (self._inside and self.first is None):
                return
            self._any_lost = True
        else:
            begins = self.first is None and self._inside and self._codec in GHOSTING
            if begins and not is_clean_start(picture):
                return
            self.first = self.first or picture
        if pts is not None:
            self.start = pts if self.start is None else min(self.start, pts)

    @property
    def damaged(self) -> bool:
        """Whether pictures are lost until the next key frame."""
        return self._due.damaged

    def in_order(self) -> bool:
        """Return whether the pictures were decoded with increasing times, as far as known."""
        known = [pts for pts in self.pts if pts is not None]
        return all(a < b for a, b in pairwise(known))


def why_none(path: Path, stream: VideoStream, *, any_packets: bool, limits: Limits) -> VideoError:
    """Return the error of a file of which no picture could be decoded.

    Args:
        path: the file, which is opened once more.
        stream: its video, as it is after all packets.
        any_packets: whether there are packets that should be pictures.
        limits: those that it was opened with.
    """
    if not any_packets:
        return VideoError("it holds no picture")
    if stream.codec_context.width:
        return VideoError("no picture of it can be decoded without errors")
    with av.logging.Capture() as messages, open_video(path, limits=limits) as (container, again):
        for packet in islice(container.demux(again), _PACKETS_TO_A_HEADER):
            with suppress(av.FFmpegError):
                again.decode(packet)
    if not any("exceeds specified max pixel" in text for _, _, text in messages):
        return VideoError("its video has no header (a sequence header, an SPS), or is scrambled")
    return LimitError(
        f"no picture of at most {limits.max_pixels:,} pixels can be decoded (--max-pixels)",
        limit=limits.text_of("max_pixels"),
    )
