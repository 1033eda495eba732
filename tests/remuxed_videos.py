"""Painted videos whose packets are put into a file again, with other times, marks or data."""

from dataclasses import dataclass

import av
from painted_videos import write_video

WIDE = (256, 192)


@dataclass
class Piece:
    """A packet that is yet to be written. Times are in ticks of its source."""

    data: bytes
    pts: int | None
    dts: int | None
    key: bool
    duration: int
    place: int = 0
    """The place of its picture in display order."""


def write_changed(path, change, *, source="mkv", container=None, options=None, **painted):
    """Write a painted video whose list of pieces ``change`` has changed; return its times."""
    original = path.with_name(f"original-{path.stem}.{source}")
    times = write_video(original, **({"size": WIDE, "num_frames": 60} | painted))
    with av.open(str(original)) as opened:
        stream = opened.streams.video[0]
        pieces = [
            Piece(bytes(p), p.pts, p.dts, p.is_keyframe, p.duration or 0)
            for p in opened.demux(stream)
            if p.size
        ]
        for place, piece in enumerate(sorted(pieces, key=lambda piece: piece.pts)):
            piece.place = place
        pieces = change(pieces) or pieces
        options = {"avoid_negative_ts": "disabled"} | (options or {})
        with av.open(str(path), "w", format=container, options=options) as output:
            target = output.add_stream_from_template(stream, opaque=True)
            for piece in pieces:
                packet = av.Packet(piece.data)
                packet.pts, packet.dts = piece.pts, piece.dts
                packet.time_base, packet.duration = stream.time_base, piece.duration
                packet.is_keyframe, packet.stream = piece.key, target
                output.mux(packet)
    original.unlink()
    return times
