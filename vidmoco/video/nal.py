"""The units of H.264 and HEVC packets, and the fields of their headers that are needed."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 134, 135, 138, 139})
_SEI = {"h264": frozenset({6}), "hevc": frozenset({39, 40})}


class Bits:
    """Reads numbers from bytes, most significant bit first. After the end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def u(self, count: int) -> int:
        """Return the next ``count`` bits as a number."""
        self._left -= count
        bits = self._value >> self._left if self._left >= 0 else self._value << -self._left
        return bits & (1 << count) - 1

    def ue(self) -> int:
        """Return an unsigned Exp-Golomb number (H.264 9.1)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                return 0
        return (1 << zeros) - 1 + self.u(zeros)


class NalUnits:
    """Splits packets into NAL units, which lengths or start codes separate."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        self._codec = codec
        self.length = 0
        """Number of bytes of a unit's length in front of it, or 0 for start codes."""
        place = 4 if codec == "h264" else 21
        if extradata[:1] == b"\1" and len(extradata) > place:
            self.length = (extradata[place] & 3) + 1
        self.slice_headers = _slice_headers(codec)

    def units(self, data: bytes) -> Iterator[tuple[int, int, int]]:
        """Yield (type, start, end) of each unit. The last may end behind the data."""
        size, end = self.length, len(data)
        place = 0 if size else data.find(b"\0\0\1") + 3
        if not size and place < 3:
            return
        while place + size < end:
            if size:
                start = place + size
                stop = place = start + int.from_bytes(data[place:start], "big")
            else:
                start, stop = place, data.find(b"\0\0\1", place)
                stop = end if stop < 0 else stop
                place = stop + 3
            if start < min(stop, end):
                yield self._kind(data[start]), start, stop

    def joined(self, unit: bytes) -> bytes:
        """Return a unit as it stands in a packet."""
        return (len(unit).to_bytes(self.length, "big") if self.length else b"\0\0\1") + unit

    def in_extradata(self, extradata: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (type, unit) of an H.264 stream's sequence parameter sets."""
        if not self.length:
            for kind, start, end in self.units(extradata):
                yield kind, extradata[start:end]
            return
        place = 6
        for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
            size = int.from_bytes(extradata[place : place + 2], "big")
            yield 7, extradata[place + 2 : place + 2 + size]
            place += 2 + size

    def is_slice(self, kind: int) -> bool:
        """Return whether a type of unit is a part of a picture."""
        return _is_slice(self._codec, kind)

    def is_other(self, kind: int) -> bool:
        """Return whether a type of unit is one of those that come without a picture."""
        return 6 <= kind <= 13 if self._codec == "h264" else 32 <= kind <= 40

    def is_message(self, kind: int) -> bool:
        """Return whether a type of unit is SEI: messages that decoding does not need."""
        return kind in _SEI[self._codec]

    def start_of(self, data: bytes) -> tuple[bool | None, bool]:
        """Return whether the first slice is intra-coded, and whether it needs nothing before it.

        The first is None if there is no slice. An H.264 picture that is intra-coded but not IDR may
        be followed by some that need pictures before it.
        """
        for kind, start, end in self.units(data):
            if self.is_slice(kind):
                if self._codec == "hevc":
                    return 16 <= kind <= 23, 16 <= kind <= 20
                bits = Bits(data[start + 1 : min(end, start + 32)])
                bits.ue()
                return kind == 5 or bits.ue() % 5 == 2, kind == 5
        return None, False

    def _kind(self, header: int) -> int:
        return _kind(self._codec, header)


def _kind(codec: str, header: int) -> int:
    return header & 31 if codec == "h264" else header >> 1 & 63


def _is_slice(codec: str, kind: int) -> bool:
    return 1 <= kind <= 5 if codec == "h264" else kind < 32


@functools.cache
def _slice_headers(codec: str) -> frozenset[int]:
    """Return the first bytes of units that are a part of a picture."""
    return frozenset(one for one in range(256) if _is_slice(codec, _kind(codec, one)))


@dataclass(frozen=True)
class Sps:
    """Fields of an H.264 sequence parameter set (7.3.2.1.1)."""

    frame_num_bits: int
    planes: bool
    """Whether the colour planes are coded separately."""
    only_frames: bool
    """Whether no picture is coded as two fields."""


def parse_sps(unit: bytes) -> Sps | None:
    """Return the fields of a sequence parameter set, or None if it is not one."""
    data = unit.replace(b"\0\0\3", b"\0\0")
    if len(data) < 5:
        return None
    bits = Bits(data[1:])
    profile, planes = bits.u(8), False
    bits.u(16)
    bits.ue()
    if profile in _WITH_CHROMA:
        chroma = bits.ue()
        planes = chroma == 3 and bool(bits.u(1))
        bits.ue(), bits.ue(), bits.u(1)
        if bits.u(1):
            for matrix in range(12 if chroma == 3 else 8):
                if bits.u(1):
                    _skip_scaling(bits, 16 if matrix < 6 else 64)
    frame_num_bits = bits.ue() + 4
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1), bits.ue(), bits.ue()
        for _ in range(min(bits.ue(), 255)):
            bits.ue()
    bits.ue(), bits.u(1), bits.ue(), bits.ue()
    if frame_num_bits > 16:
        return None
    return Sps(frame_num_bits, planes, bool(bits.u(1)))


def _skip_scaling(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            number = bits.ue()  # signed: 1, -1, 2, -2, …
            following = (last + ((number + 1) // 2 if number % 2 else -number // 2)) % 256
        last = following or last
