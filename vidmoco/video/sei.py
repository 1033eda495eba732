"""SEI messages of H.264 and HEVC: what their decoders refuse, though no picture needs it.

IP cameras write messages that claim more bytes than they have. A decoder that is told to stop at
errors then refuses the whole picture.
"""

from typing import Any

import av
import av.logging
from av.packet import Packet

from vidmoco.video.nal import NalUnits

SUFFIX_SEI = 40  # HEVC's, behind the slices
# The type of unit that a decoder skips in silence: filler data, or one that is not specified.
_SKIPPED = {"h264": b"\x0c", "hevc": b"\x4c\x01"}


def without_faulty_sei(
    data: bytes, context: Any, codec: str, *, behind: bool = False
) -> bytes | None:
    """Return a packet's data of the same size without faulty SEI, or None if it has none.

    Only messages in front of the first slice count: a decoder that has stopped at them has not
    begun the picture. With ``behind`` only those of HEVC that follow the slices count.
    """
    extradata = bytes(context.extradata or b"")
    nals = NalUnits(codec, extradata)
    faulty, changed = False, bytearray(data)
    parameters = b""  # of this packet, which its messages may refer to
    for kind, start, end in nals.units(data):
        if nals.is_slice(kind):
            if behind:
                continue
            break
        if nals.is_message(kind):
            if behind and kind != SUFFIX_SEI:
                continue
            if _is_faulty(parameters + nals.joined(data[start:end]), extradata, codec):
                header = _SKIPPED[codec]
                changed[start : start + len(header)] = header
                faulty = True
        else:
            parameters += nals.joined(data[start:end])
    return bytes(changed) if faulty else None


def _is_faulty(data: bytes, extradata: bytes, codec: str) -> bool:
    """Return whether a decoder fails on data that hold no slice."""
    context: Any = av.CodecContext.create(codec, "r")
    context.extradata = extradata or None
    context.thread_count = 1
    context.options = {"err_detect": "explode"}
    if codec == "h264":  # it takes data without a slice for an error, unless it skips all slices
        context.skip_frame = "ALL"
    try:
        with av.logging.Capture():
            context.decode(Packet(data))
    except av.MemoryError:
        raise
    except av.FFmpegError:
        return True
    return False
