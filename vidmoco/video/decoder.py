"""Packets and the pictures that a decoder makes of them, one packet at a time, with its errors."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import av
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from vidmoco.video.container import codec_name
from vidmoco.video.sei import without_faulty_sei
from vidmoco.workers.process import still_alive

# Faults that decoders log, but which no picture depends on.
_OUTSIDE = re.compile(r"\bSEI\b|Overread VUI")
_STUCK = "its decoder takes no more data"
# Decoders that conceal missing pictures. Others log harmless messages (MS-MPEG4: no end mark).
_CONCEALING = frozenset({"h264", "hevc"})
_PACKETS_PER_SIGN_OF_LIFE = 32
# Codecs whose decoders begin anywhere, and show ghosts until the next key frame without an error.
GHOSTING = frozenset(
    {
        *("flv1", "h263", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1", "msmpeg4v2"),
        *("msmpeg4v3", "rv10", "rv20", "wmv1", "wmv2"),
    }
)


def is_clean_start(frame: VideoFrame) -> bool:
    """Return whether a decoder that began with this picture decodes it as it is meant."""
    return bool(frame.key_frame) and frame.pict_type == PictureType.I and not frame.is_corrupt


def decode_packet(
    stream: VideoStream, packet: "Packet[Any] | None"
) -> tuple[list[VideoFrame], str]:
    """Return the pictures that a packet gives, and an error. None flushes the decoder.

    A faulty SEI message is no fault of the picture: the packet is decoded without it.
    """
    context = stream.codec_context
    conceals = context.name in _CONCEALING
    if context.name == "hevc" and packet is not None:  # a decoder would stop behind the picture
        data = without_faulty_sei(bytes(packet), context, "hevc", behind=True)
        if data is not None:
            packet.update(data)
    frames, error = decode_listening(lambda: stream.decode(packet), to_log=conceals)
    if error == _STUCK:  # measured: VP9, after an error
        context.flush_buffers()
        frames, error = decode_listening(lambda: stream.decode(packet), to_log=conceals)
    if error and conceals and not frames and packet is not None:
        data = without_faulty_sei(bytes(packet), context, codec_name(stream))
        if data is not None:
            packet.update(data)
            return decode_listening(lambda: stream.decode(packet), to_log=True)
    return frames, error


def decode_listening(
    decode: Callable[[], list[VideoFrame]], *, to_log: bool
) -> tuple[list[VideoFrame], str]:
    """Return the pictures that ``decode`` gives, and the error that it raises.

    With ``to_log`` a logged error counts too: H.264 and HEVC decoders conceal a missing picture and
    only log it.
    """
    try:
        with av.logging.Capture() as messages:
            frames = decode()
    except av.MemoryError:
        raise
    except av.BlockingIOError:
        return [], _STUCK
    except av.FFmpegError as failure:
        return [], str(failure.strerror or failure)
    # FFmpeg logs concealment at the level of information.
    errors = [
        text.strip()
        for level, _, text in messages
        if (level <= av.logging.ERROR and not _OUTSIDE.search(text))
        or text.startswith("concealing")
    ]
    return frames, errors[0] if errors and to_log else ""


def packets(
    container: InputContainer, stream: VideoStream
) -> "Iterator[tuple[Packet[Any] | None, str]]":
    """Yield (packet, "") for each packet, and at the end (None, error), with "" for no error."""
    error = ""
    places = has_places(container)
    try:
        for number, packet in enumerate(container.demux(stream)):
            if number % _PACKETS_PER_SIGN_OF_LIFE == 0:
                still_alive()
            if packet.size:  # an empty packet would flush the decoder
                if places:
                    use_place(packet)
                yield packet, ""
    except av.MemoryError:
        raise
    except av.FFmpegError as failure:
        error = str(failure.strerror or failure)
    yield None, error


def has_places(container: InputContainer) -> bool:
    """Return whether a container is an AVI, which has no display times.

    It has only places, one for each tick. The display times that FFmpeg gives are a guess.
    """
    return str(container.format.name) == "avi"


def use_place(packet: "Packet[Any]") -> None:
    """Set the time of a packet to that of its place in the file."""
    if packet.dts is not None:
        packet.pts = packet.dts
