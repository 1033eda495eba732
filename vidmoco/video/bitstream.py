"""Read from a packet's first bytes what a container may claim wrongly, without decoding it.

Containers mark key frames, but some mark every packet, or none. And a packet may hold half a
picture (a field), or none at all (parameter sets, messages).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

from vidmoco.video.nal import Bits, NalUnits, parse_sps

_HEAD = 2**16  # bytes that are looked at; the first slice comes long before
# assumption: a packet without a picture (an access unit delimiter, messages) is smaller.
_MAX_EMPTY = 1024
# In AVI, one byte is a dropped frame of these (DivX writes it). Of others it can be a picture.
_DROPS_FRAMES = frozenset({"h264", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3"})


@dataclass(frozen=True)
class Facts:
    """What a packet is."""

    key: bool
    """Whether decoding can start there: the container says so, and the packet is intra-coded."""
    shown: bool
    """Whether a player shows a picture for it, which is neither hidden nor empty."""
    hidden: bool = False
    """Whether it holds a picture that is not shown."""
    second_field: bool = False
    """Whether it completes the picture that the packet before it began."""

    @property
    def any_picture(self) -> bool:
        """Whether it holds a picture, or a part of one. Decoders take others for faults."""
        return self.shown or self.hidden or self.second_field


_NOTHING = Facts(key=False, shown=False)
_PICTURE = Facts(key=False, shown=True)
_KEY = Facts(key=True, shown=True)


class PacketReader:
    """Reads the packets of a stream in decoding order, from a key frame on."""

    def __init__(self, stream: VideoStream, *, container: str, codec: str) -> None:
        self._codec = codec
        self._empty = 1 if container == "avi" and codec in _DROPS_FRAMES else 0
        self.marks_wrong = False
        """Whether the container marks a picture as a key frame that is none, or may be none."""
        self._is_intra = _IS_INTRA.get(codec)
        self._nals: NalUnits | None = None
        self._sps: tuple[int, bool] | None = None
        self._field: tuple[int, int] | None = None
        if codec in ("h264", "hevc"):
            extradata = bytes(stream.codec_context.extradata or b"")
            self._nals = NalUnits(codec, extradata)
            if codec == "h264":
                self._find_sps(self._nals.in_extradata(extradata))

    def look(self, packet: "Packet[Any]", *, unmarked: bool = False) -> Facts:
        """Return what a packet is. Each is given once.

        With ``unmarked`` it may be a key frame that the container does not mark.
        """
        if packet.size <= self._empty:
            return _NOTHING
        if packet.is_keyframe:
            key = self._is_key(packet)
        else:
            key = unmarked and self.is_intra(packet) is True
        if packet.is_discard:
            return Facts(key=key, shown=False, hidden=packet.size > 1)
        if self._codec == "vp8" and not memoryview(packet)[0] & 0x10:  # RFC 6386 9.1: not shown
            return Facts(key=key, shown=False, hidden=packet.size > 1)
        if self._nals is not None:
            if self._sps is not None or not (
                key or packet.size >= _MAX_EMPTY or self._begins_with_slice(packet)
            ):
                kind, second = self._slices(packet)
                if second or not kind:
                    return Facts(key=False, shown=False, second_field=second)
        elif self._codec == "mpeg2video" and self._is_second_mpeg2(packet):
            return Facts(key=False, shown=False, second_field=True)
        return _KEY if key else _PICTURE

    def is_intra(self, packet: "Packet[Any]") -> bool | None:
        """Return whether a decoder can start at a packet, or None if its codec is not known here.

        Of H.264 an I picture is enough: its decoder reports what is missing.
        """
        if self._nals is not None:
            return self._nals.start_of(_head(packet))[0]
        if self._is_intra is None:
            return None
        try:
            return self._is_intra(_head(packet))
        except IndexError:
            return None

    def is_inside(self, packet: "Packet[Any]", facts: Facts) -> bool:
        """Return whether a file that begins with this picture begins inside a group.

        H.264 and HEVC data without a slice are damaged, and may have been a key frame.
        """
        intra = self.is_intra(packet)
        if intra is None and self._nals is None:
            return not facts.key
        return intra is False

    def _is_key(self, packet: "Packet[Any]") -> bool:
        """Return whether a packet that is marked as a key frame is one, and note if it is not."""
        if self._nals is not None:
            intra, alone = self._nals.start_of(_head(packet))
            self.marks_wrong |= not alone
        else:
            intra = self.is_intra(packet)
            self.marks_wrong |= intra is False
        return intra is not False

    def _begins_with_slice(self, packet: "Packet[Any]") -> bool:
        """Return whether the first unit is a slice, if that is told fast."""
        assert self._nals is not None
        length = self._nals.length
        headers = self._nals.slice_headers
        return 0 < length < packet.size and memoryview(packet)[length] in headers

    def _slices(self, packet: "Packet[Any]") -> tuple[bool, bool]:
        """Return whether H.264 or HEVC data hold a picture, and whether it is a second field.

        Damaged data are taken for a picture: it is missed where it does not come.
        """
        assert self._nals is not None
        fields = self._sps is not None
        read, data = 0, _head(packet)
        for kind, start, end in self._nals.units(data):
            if kind == 7 and self._codec == "h264":
                self._find_sps(iter([(kind, data[start:end])]))
            if self._nals.is_slice(kind):
                return True, fields and self._is_second(kind, data[start : min(end, start + 64)])
            if not self._nals.is_other(kind):
                return True, False
            read = end
        return read != len(data), False

    def _find_sps(self, units: Iterator[tuple[int, bytes]]) -> None:
        for kind, unit in units:
            if kind == 7:
                found = parse_sps(unit)
                if found is not None:
                    self._sps = None if found.only_frames else (found.frame_num_bits, found.planes)

    def _is_second(self, kind: int, unit: bytes) -> bool:
        """Return whether a slice begins the second field of a picture (H.264 7.4.1.2.4)."""
        assert self._sps is not None
        before, self._field = self._field, None
        bits = Bits(unit[1:].replace(b"\0\0\3", b"\0\0"))
        bits.ue(), bits.ue(), bits.ue()
        if self._sps[1]:
            bits.u(2)
        number = bits.u(self._sps[0])
        if not bits.u(1):
            return False
        parity = bits.u(1)
        if before == (number, 1 - parity) and kind != 5:
            return True
        self._field = (number, parity)
        return False

    def _is_second_mpeg2(self, packet: "Packet[Any]") -> bool:
        """Return whether a packet holds only the second field of an MPEG-2 picture (6.3.10)."""
        before, self._field = self._field, None
        data = _head(packet)
        place = data.find(b"\0\0\1\xb5")
        while place >= 0 and place + 6 < len(data) and data[place + 4] >> 4 != 8:
            place = data.find(b"\0\0\1\xb5", place + 4)
        structure = data[place + 6] & 3 if place >= 0 and place + 6 < len(data) else 3
        if structure in (0, 3) or bytes(packet).count(b"\0\0\1\0") > 1:
            return False
        if before == (0, 3 - structure):
            return True
        self._field = (0, structure)
        return False


def _head(packet: "Packet[Any]") -> bytes:
    return bytes(memoryview(packet)[:_HEAD])


def _mpeg4(data: bytes) -> bool | None:
    place = data.find(b"\0\0\1\xb6")
    return data[place + 4] >> 6 == 0 if place >= 0 else None


def _mpeg2(data: bytes) -> bool | None:
    place = data.find(b"\0\0\1\0")
    return data[place + 5] >> 3 & 7 == 1 if place >= 0 else None


def _h263(data: bytes) -> bool:
    bits = Bits(data[:16])
    bits.u(35)
    if bits.u(3) != 7:
        return not bits.u(1)
    if bits.u(3) == 1:  # UFEP: the optional part is there
        bits.u(18)
    return not bits.u(3)


def _flv1(data: bytes) -> bool:
    bits = Bits(data[:16])
    bits.u(30)
    bits.u({0: 16, 1: 32}.get(bits.u(3), 0))
    return not bits.u(2)


def _vp9(data: bytes) -> bool:
    bits = Bits(data[:4])
    bits.u(2)
    if bits.u(1) + 2 * bits.u(1) == 3:
        bits.u(1)
    return not bits.u(1) and not bits.u(1)


def _av1(data: bytes) -> bool | None:
    place = 0
    while place < len(data):
        kind, has_size = data[place] >> 3 & 15, data[place] & 2
        place += 2 if data[place] & 4 else 1
        size = shift = 0
        while has_size:
            size |= (data[place] & 127) << shift
            shift += 7
            place += 1
            if data[place - 1] < 128:
                break
        if kind == 1 and data[place] & 8:  # a still picture
            return True
        if kind in (3, 6):  # a frame header, or a frame
            return data[place] >> 5 == 0
        place += size
        if not has_size:
            break
    return None


_IS_INTRA: dict[str, Callable[[bytes], bool | None]] = {
    "mpeg4": _mpeg4,
    "mpeg1video": _mpeg2,
    "mpeg2video": _mpeg2,
    "h263": _h263,
    "flv1": _flv1,
    "msmpeg4v1": lambda data: data[4] >> 1 & 3 == 0,
    "msmpeg4v2": lambda data: data[0] >> 6 == 0,
    "msmpeg4v3": lambda data: data[0] >> 6 == 0,
    "wmv1": lambda data: data[0] >> 6 == 0,
    "wmv2": lambda data: data[0] >> 7 == 0,
    "theora": lambda data: not data[0] & 0x40,
    "vp8": lambda data: not data[0] & 1,
    "vp9": _vp9,
    "av1": _av1,
}
