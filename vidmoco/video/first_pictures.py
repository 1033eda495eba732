"""Decode the first pictures of a video, to find the one that a player shows first."""

from itertools import pairwise
from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidmoco.video.bitstream import Facts, PacketReader
from vidmoco.video.decoder import GHOSTING, decode_packet, is_clean_start
from vidmoco.video.frame_stream import Due, Lost


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
