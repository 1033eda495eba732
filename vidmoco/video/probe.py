"""Probe one video: list its packets, decode its first picture, and choose its decoder.

The worker processes of the scan import this module, so it imports PyAV and little else. Packets are
read to the end but not decoded. NOTE: the first shown picture is decoded, because only it shows the
rotation, and whether the video can be decoded at all.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vidmoco.config.limits import DEFAULT_LIMITS, LimitError, Limits
from vidmoco.content import content_of
from vidmoco.errors import VideoError
from vidmoco.video.bitstream import PacketReader
from vidmoco.video.container import codec_name, foreign_codec, open_video, rotation_of
from vidmoco.video.decoder import has_places, use_place
from vidmoco.video.files import FoundFile, is_encrypted_mp4, look_at
from vidmoco.video.first_pictures import FirstPictures, why_none
from vidmoco.video.frame_stream import counted_pictures
from vidmoco.video.info import Route, VideoInfo
from vidmoco.video.packet_list import PacketList
from vidmoco.video.routes import route_of
from vidmoco.video.timeline import Timeline, counted_timeline, timeline_of
from vidmoco.workers.process import still_alive

_PACKETS_PER_SIGN_OF_LIFE = 256  # packets are not decoded, so there are many per second
_COLOR_RANGES: dict[int, Literal["limited", "full"]] = {1: "limited", 2: "full"}  # AVColorRange
_HDR_TRANSFERS: dict[int, Literal["pq", "hlg"]] = {16: "pq", 18: "hlg"}  # ITU-T H.273, table 3
# Seconds of a gap at which the clock of a format that has no index is taken for another one. FFmpeg
# takes 10 s (AVFMT_TS_DISCONT); FLV of live streams may pause. assumption.
_CLOCK_JUMPS = {"mpegts": 10, "mpeg": 10, "flv": 3 * 3600}
# Pictures to decode if times may be decoding times. A codec delays pictures by at most 16.
_PICTURES_TO_CHECK = 40


@dataclass(frozen=True)
class ProbeJob:
    """A file to probe."""

    root: Path
    found: FoundFile


def probe_video(path: Path, *, root: Path, limits: Limits = DEFAULT_LIMITS) -> VideoInfo:
    """Return the row of a file. A bad file does not raise: its route is "refused", with a reason.

    ``root`` is the absolute folder to which the catalog's keys are relative.

    Raises:
        MemoryError: the file needs more memory than the process may use.
    """
    found = look_at(path, root=root)
    if found.problem:
        return refused(found, root=root, reason=found.problem)
    try:
        row = _probe(path, found, root=root, limits=limits)
        return replace(row, ctime_ns=found.ctime_ns, content=content_of(path))
    except MemoryError:
        raise
    except LimitError as error:
        return refused(found, root=root, reason=str(error), keep=True, limit=error.limit)
    except VideoError as error:
        return refused(found, root=root, reason=str(error), keep=os.access(path, os.R_OK))
    except Exception as error:  # a bad file must not stop the scan of the others
        return refused(found, root=root, reason=f"{type(error).__name__}: {error}")


def refused(
    found: FoundFile, *, root: Path, reason: str, keep: bool = False, limit: str = ""
) -> VideoInfo:
    """Return the row of a refused file. With ``keep`` a scan probes it again only if it changes."""
    return VideoInfo(
        root=str(root),
        key=found.key,
        num_bytes=found.num_bytes,
        mtime_ns=found.mtime_ns if keep else 0,
        ctime_ns=found.ctime_ns if keep else 0,
        content=content_of(root / found.key) if keep else "",
        reason=reason,
        limit=limit,
    )


def _probe(path: Path, found: FoundFile, *, root: Path, limits: Limits) -> VideoInfo:
    with open_video(path, limits=limits) as (container, stream):
        container_name, codec = container.format.name.split(",")[0], codec_name(stream)
        if container_name == "mov" and is_encrypted_mp4(path):
            raise VideoError("it is encrypted")
        clock = _CLOCK_JUMPS.get(container_name, 0) / (stream.time_base or 1)
        packets = PacketList(most_gap=int(clock))
        reader = PacketReader(stream, container=container_name, codec=codec)
        pictures = FirstPictures(stream, reader, codec=codec)
        _read_packets(container, stream, reader, packets, pictures, limits)
        if container_name == "mov" and stream.frames > len(packets.pts):
            packets.num_damaged += 1  # its index promises more than the file holds
        first = pictures.first
        if first is None or not packets.keys:
            raise why_none(path, stream, any_packets=bool(packets.keys), limits=limits)
        timeline = _timeline(path, container, stream, packets, pictures, limits)
        limits.require(num_frames=timeline.num_frames, duration=timeline.duration_seconds)
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
            foreign_codec=foreign_codec(container),
            num_bytes=found.num_bytes,
            size_changes=packets.size_changes,
            start_known=stream.start_time is not None,
            marks_wrong=reader.marks_wrong or _index_is_wrong(stream, packets),
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
            coded_width=stream.codec_context.coded_width,
            coded_height=stream.codec_context.coded_height,
            rotation=rotation,
            sample_aspect_ratio=float(aspect),
            color_range=_COLOR_RANGES.get(int(first.color_range), ""),
            hdr=_HDR_TRANSFERS.get(int(first.color_trc), ""),
            num_frames=timeline.num_frames,
            start_seconds=timeline.start_seconds,
            last_seconds=timeline.last_seconds,
            duration_seconds=timeline.duration_seconds,
            frame_rate=timeline.frame_rate,
            variable_rate=timeline.variable_rate,
            keyframe_seconds=timeline.keyframe_seconds,
            edit_list=timeline.edit_list,
            leading_pictures=timeline.leading_pictures,
            estimated_times=timeline.estimated,
            filled_times=timeline.num_filled,
            frame_ticks=timeline.ticks,
            ticks_per_second=timeline.ticks_per_second,
            route=cast(Route, route),
            reason=reason,
        )


def _timeline(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    packets: PacketList,
    pictures: FirstPictures,
    limits: Limits,
) -> Timeline:
    """Return the times of the frames: the file's own, or what can be made of them."""
    base = stream.time_base or Fraction(1)
    nominal = stream.guessed_rate or stream.average_rate
    times: list[int | None] | None = None
    decoding = not pictures.in_order() and packets.in_order
    reorders = bool(stream.codec_context.has_b_frames)
    if decoding or (has_places(container) and reorders):  # these are times of decoding
        times = packets.delayed(0 if pictures.in_order() else pictures.delay)
    elif packets.jumps and (joined := packets.joined()):
        times = list(joined)
    elif pictures.start is None or packets.jumps or packets.is_doubtful(reorders=reorders):
        times = _times_as_decoded(path, packets, codec_name(stream), limits)
        known = [time for time in times if time is not None]
        if pictures.start is not None and len(known) == len(times):
            times = times if any(a >= b for a, b in pairwise(known)) else None
    if times is None and pictures.start is not None:
        return timeline_of(
            packets,
            first_pts=pictures.start,
            time_base=base,
            average_rate=stream.average_rate,
            nominal_rate=nominal,
        )
    return counted_timeline(
        packets,
        times or [None] * packets.num_shown,
        time_base=base,
        rate=nominal,
        seconds=float(stream.duration * base) if stream.duration else 0.0,
    )


def _times_as_decoded(
    path: Path, packets: PacketList, codec: str, limits: Limits
) -> list[int | None]:
    """Decode the whole video, and return the known times of its pictures in their order."""
    pts = packets.of_shown(packets.pts)
    times: list[int | None] = []
    with open_video(path, limits=limits) as (container, stream):
        name = container.format.name.split(",")[0]
        for frame, _ in counted_pictures(container, stream, name, codec, number=True):
            if frame is not None:
                place = -1 if frame.pts is None else frame.pts
                times.append(pts[place] if 0 <= place < len(pts) else None)
    return times


def _index_is_wrong(stream: VideoStream, packets: PacketList) -> bool:
    """Return whether the container's index leads to a packet that is no key frame."""
    times = zip(packets.keys, packets.pts, packets.dts, strict=True)
    keys = {time for key, *both in times if key for time in both}
    return any(e.is_keyframe and e.timestamp not in keys for e in stream.index_entries)


def _read_packets(
    container: InputContainer,
    stream: VideoStream,
    reader: PacketReader,
    packets: PacketList,
    pictures: FirstPictures,
    limits: Limits,
) -> None:
    """List all packets. Decode up to the first picture, or further if the times are doubtful.

    Times are doubtful if the codec delays pictures, but the packets' times are in decoding order:
    they may be decoding times (H.264 in AVI). The decoded pictures then have times out of order.
    """
    decoding = True
    # In an MP4 only the packet at a cut end is corrupt. In a stream, packets after gaps are too.
    places = has_places(container)
    cuts = container.format.name.startswith("mov")
    try:
        for number, packet in enumerate(container.demux(stream)):
            if number % _PACKETS_PER_SIGN_OF_LIFE == 0:
                still_alive()
            if places:
                use_place(packet)
            facts = reader.look(packet, unmarked=decoding and pictures.damaged)
            if facts.second_field:
                packets.add_second_field(packet.duration or 0)
            elif facts.shown or facts.hidden:
                packets.add(
                    pts=packet.pts,
                    dts=packet.dts,
                    duration=packet.duration or 0,
                    key=facts.key,
                    hidden=facts.hidden,
                    damaged=packet.is_corrupt,
                    cut_off=packet.is_corrupt and cuts,
                )
                limits.require(num_frames=len(packets.pts) - packets.num_hidden)
                if len(packets.pts) > 1 and _has_new_extradata(packet):
                    packets.size_changes = True
            if decoding:
                pictures.decode(packet, facts)
                doubtful = bool(stream.codec_context.has_b_frames) and packets.in_order
                enough = _PICTURES_TO_CHECK if doubtful else 1
                decoding = pictures.first is None or len(pictures.pts) < enough
    except av.MemoryError:
        raise
    except av.FFmpegError:
        packets.num_damaged += 1


def _has_new_extradata(packet: "Packet[Any]") -> bool:
    # measured: half the time of has_sidedata
    return any(data.data_type == "new_extradata" for data in packet.iter_sidedata())


def build_probe(limits: Limits) -> Callable[[ProbeJob], VideoInfo]:
    """Return the function with which a worker process probes a file."""
    return lambda job: probe_video(job.root / job.found.key, root=job.root, limits=limits)
