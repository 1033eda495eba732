"""Compute the times of a video's frames from its packets, without a decoder."""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import numpy as np

# assumption: the rate is variable if gaps between frames differ by more than this fraction.
_RATE_TOLERANCE = 0.05
# A clock of milliseconds (Matroska) rounds each time, so gaps differ by up to two ticks.
_ROUNDING_TICKS = 2


@dataclass
class PacketList:
    """The packets of a stream in decoding order. Times are in ticks of the file's clock."""

    pts: list[int | None] = field(default_factory=list)
    """Display time of each packet's picture, or None if unknown."""
    durations: list[int] = field(default_factory=list)
    """Duration of each packet, or 0 if unknown."""
    keys: list[bool] = field(default_factory=list)
    """Whether decoding can start at the packet."""
    shown: list[bool] = field(default_factory=list)
    """Whether the packet is neither hidden nor cut off."""
    num_hidden: int = 0
    """Number of packets that are decoded but not shown."""
    num_damaged: int = 0
    """Number of packets that are damaged or cut off, plus 1 if the file ends early."""
    in_order: bool = True
    """Whether the pictures so far are shown in decoding order."""
    jumps_back: bool = False
    """Whether times go back past an earlier key frame, as in concatenated recordings."""
    leading: bool = False
    """Whether a picture is shown before the last key frame that is decoded before it."""
    size_changes: bool = False
    """Whether a new decoder configuration comes in the middle."""
    _key: int | None = None
    _key_before: int | None = None

    def add(
        self,
        *,
        pts: int | None,
        duration: int,
        key: bool,
        hidden: bool = False,
        damaged: bool = False,
        cut_off: bool = False,
    ) -> None:
        """Add the next packet. A damaged one is still shown unless it is cut off."""
        if pts is not None:
            last = self.pts[-1] if self.pts else None
            self.in_order &= last is None or last < pts
            self.jumps_back |= self._key_before is not None and pts < self._key_before
            if key:
                self.jumps_back |= self._key is not None and pts <= self._key
                self._key_before, self._key = self._key, pts
            self.leading |= self._key is not None and pts < self._key
        self.num_hidden += hidden
        self.num_damaged += damaged or cut_off
        self.pts.append(pts)
        self.durations.append(duration)
        self.keys.append(key)
        self.shown.append(not hidden and not cut_off)


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The times of a video's frames. Fields that ``VideoInfo`` has too are described there."""

    num_frames: int
    start_seconds: float
    last_seconds: float
    duration_seconds: float
    frame_rate: float
    variable_rate: bool
    keyframe_seconds: float
    edit_list: bool
    leading_pictures: bool
    starts_with_key: bool
    """Whether the first packet is a key frame."""
    estimated: bool
    """``VideoInfo.estimated_times``."""
    damaged: bool
    """Whether packets are damaged or cut off, or the file ends early."""
    ticks_per_second: int


def timeline_of(
    packets: PacketList,
    *,
    first_pts: int | None,
    in_order: bool,
    time_base: Fraction,
    average_rate: Fraction | None,
    nominal_rate: Fraction | None,
) -> Timeline:
    """Return the times of a video's frames.

    Args:
        packets: all packets, in decoding order.
        first_pts: time of the first decoded picture.
        in_order: whether the first pictures were decoded with increasing times.
        time_base: seconds per tick.
        average_rate: average frames per second according to the container.
        nominal_rate: frames per second according to the codec or the container.
    """
    pts = [p for p, shown in zip(packets.pts, packets.shown, strict=True) if shown]
    known = [p for p in pts if p is not None]
    in_order &= not packets.jumps_back
    if not in_order or first_pts is None or len(set(known)) < len(pts):
        return _estimated(packets, num_frames=len(pts), time_base=time_base, rate=nominal_rate)
    # Pictures before the first decoded one are leading, and need frames that the file lacks.
    times = np.sort(np.array([p for p in known if p >= first_pts] or [first_pts], dtype=np.int64))
    start, last, gaps = int(times[0]), int(times[-1]), np.diff(times)
    end = last + _last_duration(packets, last=last, gaps=gaps, nominal=nominal_rate, base=time_base)
    variable = len(gaps) > 0 and bool(
        np.ptp(gaps) > max(_ROUNDING_TICKS, _RATE_TOLERANCE * float(np.median(gaps)))
    )
    rate = Fraction(len(times), end - start) / time_base
    if average_rate and not variable and abs(average_rate / rate - 1) < _RATE_TOLERANCE:
        rate = average_rate  # it is not rounded to ticks
    keys = [p for p, key in zip(packets.pts, packets.keys, strict=True) if key and p is not None]
    starts = sorted({*keys, min([start, *keys]), end})
    return Timeline(
        num_frames=len(times),
        start_seconds=float(start * time_base),
        last_seconds=float((last - start) * time_base),
        duration_seconds=float((end - start) * time_base),
        frame_rate=float(rate),
        variable_rate=variable,
        keyframe_seconds=float(max(b - a for a, b in pairwise(starts)) * time_base),
        edit_list=packets.num_hidden > 0,
        leading_pictures=packets.leading,
        starts_with_key=packets.keys[0],
        estimated=False,
        damaged=packets.num_damaged > 0,
        ticks_per_second=time_base.denominator if time_base.numerator == 1 else 0,
    )


def _estimated(
    packets: PacketList, *, num_frames: int, time_base: Fraction, rate: Fraction | None
) -> Timeline:
    """Return a timeline with equal gaps, where frame i is shown at i / rate."""
    known = sorted(p for p in packets.pts if p is not None)
    if not rate and len(known) > 1 and known[-1] > known[0]:
        rate = Fraction(len(known) - 1, known[-1] - known[0]) / time_base
    rate = rate or Fraction(25)  # assumption: PAL, for a file without rate and times
    num_frames = max(num_frames, 1)
    keys = [i for i, key in enumerate(packets.keys) if key]
    longest = max(b - a for a, b in pairwise(sorted({0, *keys, len(packets.keys)})))
    return Timeline(
        num_frames=num_frames,
        start_seconds=0.0,
        last_seconds=float((num_frames - 1) / rate),
        duration_seconds=float(num_frames / rate),
        frame_rate=float(rate),
        variable_rate=False,
        keyframe_seconds=float(longest / rate),
        edit_list=packets.num_hidden > 0,
        leading_pictures=packets.leading,
        starts_with_key=packets.keys[0],
        estimated=True,
        damaged=packets.num_damaged > 0,
        ticks_per_second=0,
    )


def _last_duration(
    packets: PacketList, *, last: int, gaps: np.ndarray, nominal: Fraction | None, base: Fraction
) -> int:
    """Return the duration of the last frame in ticks, at least 1."""
    if last in packets.pts and packets.durations[packets.pts.index(last)] > 0:
        return packets.durations[packets.pts.index(last)]
    if len(gaps):
        return max(1, int(np.median(gaps)))
    return max(1, round(1 / (nominal * base))) if nominal else 1
