"""What one video is and how it may be read: its packets are listed, its first picture is decoded.

The worker processes of the scan import this module, so it imports PyAV and little else. Packets are
read to the end but not decoded. NOTE: the first shown picture is decoded, because only it tells how
the video is turned, and whether anything can be decoded at all.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidmoco.errors import VideoError
from vidmoco.video.container import MAX_PIXELS, codec_name, open_video, rotation_of
from vidmoco.video.files import FoundFile, is_encrypted_mp4, look_at
from vidmoco.video.info import Route, VideoInfo
from vidmoco.video.routes import route_of
from vidmoco.video.timeline import PacketList, timeline_of

# assumption: a video whose first so many packets all fail to decode is of no use.
_MAX_FAILURES = 100
# Pictures that are decoded when times may be those of decoding; more than a codec delays (16).
_PICTURES_TO_CHECK = 40


def probe_video(path: Path, *, root: Path) -> VideoInfo:
    """Return what a file is; never raises for a bad one: its route is "refused", with a reason.

    Args:
        path: the file, below ``root``.
        root: the absolute folder of the catalog's keys.
    """
    found = look_at(path, root=root)
    if found.problem:
        return refused(found, root=root, reason=found.problem)
    try:
        return _look_inside(path, found, root=root)
    except VideoError as error:
        return refused(found, root=root, reason=str(error), keep=os.access(path, os.R_OK))
    except Exception as error:  # whatever a file does, the others are scanned, and its row says it
        return refused(found, root=root, reason=f"{type(error).__name__}: {error}")


def refused(found: FoundFile, *, root: Path, reason: str, keep: bool = False) -> VideoInfo:
    """Return the row of a refused file; with ``keep`` it is looked at again only if it changes."""
    return VideoInfo(
        root=str(root),
        key=found.key,
        num_bytes=found.num_bytes,
        mtime_ns=found.mtime_ns if keep else 0,
        reason=reason,
    )


def _look_inside(path: Path, found: FoundFile, *, root: Path) -> VideoInfo:
    with open_video(path) as (container, stream):
        container_name, codec = container.format.name.split(",")[0], codec_name(stream)
        if container_name == "mov" and is_encrypted_mp4(path):
            raise VideoError("it is encrypted")
        packets = PacketList()
        pictures = _Pictures()
        _read_all(container, stream, packets, pictures, hidden_flag=codec == "vp8")
        if container_name == "mov" and stream.frames > len(packets.pts):
            packets.num_damaged += 1  # its index promises more than the file holds
        first = pictures.first
        if first is None:
            raise VideoError(
                f"no picture of it can be decoded, or they are larger than 8K ({MAX_PIXELS} pixels)"
            )
        timeline = timeline_of(
            packets,
            first_pts=pictures.pts[0],
            in_order=pictures.in_order() and not _counts_only(container, stream),
            time_base=stream.time_base or Fraction(1),
            average_rate=stream.average_rate,
            nominal_rate=stream.guessed_rate or stream.average_rate,
        )
        rotation, mirrored = rotation_of(first)
        width, height = first.width, first.height
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if rotation in (90, 270):
            width, height, aspect = height, width, 1 / aspect
        route, reason = route_of(
            container=container_name,
            codec=codec,
            pixel_format=first.format.name,
            width=width,
            mirrored=mirrored,
            size_changes=packets.size_changes,
            start_known=stream.start_time is not None,
            timeline=timeline,
        )
        return VideoInfo(
            root=str(root),
            key=found.key,
            num_bytes=found.num_bytes,
            mtime_ns=found.mtime_ns,
            container=container_name,
            codec=codec,
            pixel_format=first.format.name,
            width=width,
            height=height,
            rotation=rotation,
            sample_aspect_ratio=float(aspect),
            num_frames=timeline.num_frames,
            start_seconds=timeline.start_seconds,
            duration_seconds=timeline.duration_seconds,
            frame_rate=timeline.frame_rate,
            variable_rate=timeline.variable_rate,
            keyframe_seconds=timeline.keyframe_seconds,
            edit_list=timeline.edit_list,
            leading_pictures=timeline.leading_pictures,
            estimated_times=timeline.estimated,
            ticks_per_second=timeline.ticks_per_second,
            route=cast(Route, route),
            reason=reason,
        )


@dataclass
class _Pictures:
    """The first pictures that come out of the decoder."""

    first: VideoFrame | None = None
    pts: list[int | None] = field(default_factory=list)
    failures: int = 0

    def decode(self, decode: Callable[[], list[VideoFrame]]) -> None:
        """Take the pictures that a packet gives."""
        try:
            for frame in decode():
                self.first = self.first or frame
                self.pts.append(frame.pts)
        except av.FFmpegError as error:
            self.failures += 1
            if self.failures >= _MAX_FAILURES:
                raise VideoError("none of its first pictures can be decoded") from error

    def in_order(self) -> bool:
        return all(a is not None and b is not None and a < b for a, b in pairwise(self.pts))


def _counts_only(container: InputContainer, stream: VideoStream) -> bool:
    """Whether the file has no times of showing, and a codec that shows pictures in another order.

    An AVI stores pictures as they are decoded; what FFmpeg makes of it with B-frames is a guess.
    """
    return container.format.name == "avi" and bool(stream.codec_context.has_b_frames)


def _read_all(
    container: InputContainer,
    stream: VideoStream,
    packets: PacketList,
    pictures: _Pictures,
    *,
    hidden_flag: bool,
) -> None:
    """List all packets; decode until the first picture, or longer where times look doubtful.

    A codec that delays pictures, in a file that never shows one before one decoded earlier: the
    times may be those of decoding (H.264 in AVI). Then pictures come out with times out of order.
    With ``hidden_flag`` a bit of a packet's first byte tells whether its picture is shown (VP8, RFC
    6386 section 9.1).
    """
    looking = True
    # An MP4 marks only the packet corrupt in which the file ends; a stream also those after a gap.
    cuts = container.format.name.startswith("mov")
    # DivX in AVI writes one byte for a frame that it drops; in VP9 that is a whole picture.
    dropped_size = 1 if container.format.name == "avi" else 0
    try:
        for packet in container.demux(stream):
            if packet.size > dropped_size:
                packets.add(
                    pts=packet.pts,
                    duration=packet.duration or 0,
                    key=packet.is_keyframe,
                    hidden=packet.is_discard or (hidden_flag and not memoryview(packet)[0] & 0x10),
                    damaged=packet.is_corrupt,
                    cut_off=packet.is_corrupt and cuts,
                )
                if len(packets.pts) > 1 and packet.has_sidedata("new_extradata"):
                    packets.size_changes = True
            if looking:
                pictures.decode(
                    packet.decode
                )  # an empty packet at the end: what the decoder still holds
                doubtful = bool(stream.codec_context.has_b_frames) and packets.in_order
                looking = len(pictures.pts) < (_PICTURES_TO_CHECK if doubtful else 1)
    except av.FFmpegError:
        packets.num_damaged += 1


def serve(connection: Connection) -> None:
    """Probe what comes through a pipe until it closes; the whole life of a worker process.

    Receives (path, root), sends a ``VideoInfo`` for each, and first of all None: "I have started".
    Limits of memory and CPU time for one file belong here, those of wall time into ``scan.py``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    connection.send(None)
    while True:
        try:
            path, root = connection.recv()
        except EOFError:
            return
        connection.send(probe_video(path, root=root))
