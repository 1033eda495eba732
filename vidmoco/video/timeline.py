"""When the frames of a video are shown, from what its packets say. Pure; knows no decoder."""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import numpy as np

# assumption: frames whose distances differ by more than this share are of a variable rate.
_RATE_TOLERANCE = 0.05
# Clocks of milliseconds (Matroska) round each time, so distances differ by two ticks.
_ROUNDING_TICKS = 2


@dataclass
class PacketList:
    """What the packets of a stream say, in decode order. Times are ticks of the file's clock."""

    pts: list[int | None] = field(default_factory=list)
    """When the picture is shown; None: not said."""
    durations: list[int] = field(default_factory=list)
    """How long; 0: not said."""
    keys: list[bool] = field(default_factory=list)
    """Decoding can start here."""
    shown: list[bool] = field(default_factory=list)
    """Neither hidden nor cut off."""
    num_hidden: int = 0
    """Packets that are decoded but not shown."""
    num_damaged: int = 0
    """Packets that are damaged or cut off; 1 more when the file ends early."""
    in_order: bool = True
    """No picture so far is shown before one that is decoded before it."""
    jumps_back: bool = False
    """A picture is shown before the key frame before last: several recordings, put end to end."""
    leading: bool = False
    """A picture is shown before the last key frame that is decoded before it."""
    size_changes: bool = False
    """A new decoder configuration comes in the middle."""
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
        """Note the next packet; a damaged one is still shown unless the file ends in it."""
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
    """When the frames of a video are shown."""

    num_frames: int
    """Frames that are shown."""
    start_seconds: float
    """Raw time of the first."""
    last_seconds: float
    """When the last begins, from the first."""
    duration_seconds: float
    """From the first frame to the end of the last."""
    frame_rate: float
    """Average frames a second."""
    variable_rate: bool
    """The distances of frames vary."""
    keyframe_seconds: float
    """Greatest distance of key frames."""
    edit_list: bool
    """Some packets are decoded but not shown."""
    leading_pictures: bool
    """Some pictures follow a key frame in the file and come before it on the screen."""
    starts_with_key: bool
    """The first packet is a key frame."""
    estimated: bool
    """The times are missing or out of order; frame i is taken to be shown at i / frame_rate."""
    damaged: bool
    """Some packets are cut off, or the file ends early."""
    ticks_per_second: int
    """The clock of the file; 0: not a whole number."""


def timeline_of(
    packets: PacketList,
    *,
    first_pts: int | None,
    in_order: bool,
    time_base: Fraction,
    average_rate: Fraction | None,
    nominal_rate: Fraction | None,
) -> Timeline:
    """Return when frames are shown.

    Args:
        packets: every packet, in decode order.
        first_pts: time of the first picture that the decoder gave.
        in_order: the first pictures came out of the decoder with growing times.
        time_base: seconds in a tick.
        average_rate: average frames a second as the container says it, if it does.
        nominal_rate: frames a second as the codec or the container says it, if one does.
    """
    pts = [p for p, shown in zip(packets.pts, packets.shown, strict=True) if shown]
    known = [p for p in pts if p is not None]
    in_order &= not packets.jumps_back
    if not in_order or first_pts is None or len(set(known)) < len(pts):
        return _estimated(packets, num_frames=len(pts), time_base=time_base, rate=nominal_rate)
    # Pictures before the first that is decoded lead it and need frames that the file does not hold.
    times = np.sort(np.array([p for p in known if p >= first_pts] or [first_pts], dtype=np.int64))
    start, last, gaps = int(times[0]), int(times[-1]), np.diff(times)
    end = last + _last_duration(packets, last=last, gaps=gaps, nominal=nominal_rate, base=time_base)
    variable = len(gaps) > 0 and bool(
        np.ptp(gaps) > max(_ROUNDING_TICKS, _RATE_TOLERANCE * float(np.median(gaps)))
    )
    rate = Fraction(len(times), end - start) / time_base
    if average_rate and not variable and abs(average_rate / rate - 1) < _RATE_TOLERANCE:
        rate = average_rate  # not rounded to the clock
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
    """Return a timeline of equal distances: frame i at i / rate."""
    known = sorted(p for p in packets.pts if p is not None)
    if not rate and len(known) > 1 and known[-1] > known[0]:
        rate = Fraction(len(known) - 1, known[-1] - known[0]) / time_base
    rate = rate or Fraction(25)  # assumption: PAL; a file that says neither rate nor times
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
    """Return for how many ticks the last frame is shown, at least 1."""
    if last in packets.pts and packets.durations[packets.pts.index(last)] > 0:
        return packets.durations[packets.pts.index(last)]
    if len(gaps):
        return max(1, int(np.median(gaps)))
    return max(1, round(1 / (nominal * base))) if nominal else 1
