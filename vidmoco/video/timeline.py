"""Compute the times of a video's frames from its packets, without a decoder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import numpy as np

from vidmoco.shapes import Int64
from vidmoco.video.filled_times import fill_times
from vidmoco.video.ticks import packed

# assumption: the rate is variable if gaps between frames differ by more than this fraction.
_RATE_TOLERANCE = 0.05
# A clock of milliseconds (Matroska) rounds each time, so gaps differ by up to two ticks.
_ROUNDING_TICKS = 2
_MAX_DELAY = 17  # codecs delay a picture by at most 16 others
# assumption: if few gaps differ by more than this share from the usual one, times may be wrong.
_ODD, _MAX_FEW = 0.4, 0.1
_MAX_GAP = 4  # usual gaps: a group of pictures with a wider one may have a wrong time


@dataclass
class PacketList:
    """The packets of a stream in decoding order. Times are in ticks of the file's clock."""

    pts: list[int | None] = field(default_factory=list)
    """Display time of each packet's picture, or None if unknown."""
    dts: list[int | None] = field(default_factory=list)
    """Decoding time of each packet, or None if unknown."""
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
        dts: int | None = None,
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
        self.dts.append(dts)
        self.durations.append(duration)
        self.keys.append(key)
        self.shown.append(not hidden and not cut_off)

    def add_second_field(self, duration: int) -> None:
        """Add a packet that completes the picture of the packet before it."""
        if self.durations and self.durations[-1]:
            self.durations[-1] += duration

    def of_shown(self, times: list[int | None]) -> list[int | None]:
        """Return the times of the shown pictures, in decoding order."""
        return [time for time, shown in zip(times, self.shown, strict=True) if shown]

    def known(self) -> list[int]:
        """Return the known display times of the shown pictures, in decoding order."""
        return [time for time in self.of_shown(self.pts) if time is not None]

    def delayed(self, delay: int) -> list[int | None]:
        """Return the times in display order, where those of the packets are times of decoding.

        A picture is shown when the decoder returns it, which is ``delay`` packets later.
        """
        known = sorted(self.known())
        delay = min(max(delay, 0), max(len(known) - 1, 0))
        step = max(1, round(float(np.median(np.diff(known))))) if len(known) > 1 else 1
        known += [known[-1] + step * (n + 1) for n in range(delay)]
        shown = [time - known[delay] + known[0] for time in known[delay:]]
        return [*shown, *[None] * (self.num_shown - len(shown))]

    def joined(self) -> list[int]:
        """Return the times in display order of recordings put end to end, or none if any is odd.

        Each group of pictures is sorted by itself, as it has no pictures of another clock.
        """
        groups: list[list[int]] = [[]]
        for pts, key, shown in zip(self.pts, self.keys, self.shown, strict=True):
            if not shown:
                continue
            if pts is None:
                return []
            if key:
                groups.append([])
            groups[-1].append(pts)
        groups = [sorted(group) for group in groups]
        gaps = [b - a for group in groups for a, b in pairwise(group)]
        if gaps and (min(gaps) < 1 or max(gaps) > _MAX_GAP * float(np.median(gaps))):
            return []
        return [pts for group in groups for pts in group]

    def is_doubtful(self, *, reorders: bool) -> bool:
        """Return whether the times of the packets may not be those of their pictures.

        Args:
            reorders: whether the codec shows pictures in another order than it decodes them.
        """
        if self.in_order and None not in self.pts:
            return False
        known = self.known()
        if len(set(known)) < self.num_shown or not reorders:
            return True
        times = np.array(known, np.int64)
        decoding = self.of_shown(self.dts)
        if None not in decoding and (times < np.array(decoding, np.int64)).any():
            return True
        order = np.argsort(times, kind="stable")
        if np.abs(order - np.arange(len(order))).max() > _MAX_DELAY:
            return True
        gaps = np.diff(times[order])
        median = float(np.median(gaps)) if len(gaps) else 0.0
        odd = int((np.abs(gaps - median) > _ODD * median).sum())
        return 0 < odd <= max(_MAX_FEW * len(gaps), 4)

    @property
    def num_shown(self) -> int:
        """Number of pictures that are shown."""
        return sum(self.shown)


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
    num_filled: int
    """``VideoInfo.filled_times``."""
    ticks: bytes
    """``VideoInfo.frame_ticks``."""
    damaged: bool
    """Whether packets are damaged or cut off, or the file ends early."""
    ticks_per_second: int


def timeline_of(
    packets: PacketList,
    *,
    first_pts: int,
    time_base: Fraction,
    average_rate: Fraction | None,
    nominal_rate: Fraction | None,
) -> Timeline:
    """Return the times of a video's frames, all of which are in the file.

    Args:
        packets: all packets, in decoding order.
        first_pts: time of the first shown picture.
        time_base: seconds per tick.
        average_rate: average frames per second according to the container.
        nominal_rate: frames per second according to the codec or the container.
    """
    known = packets.known()
    # Pictures before the first decoded one are leading, and need frames that the file lacks.
    times = np.sort(np.array([p for p in known if p >= first_pts] or [first_pts], dtype=np.int64))
    start, last, gaps = int(times[0]), int(times[-1]), np.diff(times)
    end = last + _last_duration(packets, last=last, gaps=gaps, nominal=nominal_rate, base=time_base)
    variable = _is_variable(gaps)
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
        num_filled=0,
        ticks=b"",
        damaged=packets.num_damaged > 0,
        ticks_per_second=time_base.denominator if time_base.numerator == 1 else 0,
    )


def counted_timeline(
    packets: PacketList,
    times: Sequence[int | None],
    *,
    time_base: Fraction,
    rate: Fraction | None,
    seconds: float,
) -> Timeline:
    """Return the times of frames that are counted, because the file's own do not suffice.

    Args:
        packets: all packets, in decoding order.
        times: what is known of the times of the frames in the order in which they are shown.
        time_base: seconds per tick.
        rate: frames per second according to the codec or the container, which may be a guess.
        seconds: duration according to the container, or 0.
    """
    num_frames = max(len(times), 1)
    # assumption: PAL, for a file without rate and times
    rate = rate or (Fraction(num_frames / seconds) if seconds > 0 else Fraction(25))
    filled = fill_times(times, step=max(1, round(1 / (rate * time_base)))) if times else None
    ticks, num_filled = (np.zeros(1, np.int64), num_frames) if filled is None else filled
    gaps = np.diff(ticks)
    varies = len(gaps) > 0 and bool(np.ptp(gaps))
    if len(gaps) and not varies:
        rate = 1 / (int(gaps[0]) * time_base)
    elif varies and not num_filled:  # perhaps only by rounding
        gap = float(1 / (rate * time_base))
        off = np.abs(ticks - ticks[0] - gap * np.arange(len(ticks))).max()
        varies = bool(off > max(_ROUNDING_TICKS, _RATE_TOLERANCE * gap))
    elif filled is None and seconds > 0 and abs(num_frames / rate / seconds - 1) > _RATE_TOLERANCE:
        rate = Fraction(num_frames / seconds)
    start, last = float(ticks[0] * time_base), float((num_frames - 1) / rate)
    duration = float(num_frames / rate)
    if varies:
        last = float((ticks[-1] - ticks[0]) * time_base)
        duration = last + float(max(1, int(np.median(gaps))) * time_base)
    frame_rate = num_frames / duration if varies else float(rate)
    keys = [i for i, key in enumerate(packets.keys) if key]
    longest = max(b - a for a, b in pairwise(sorted({0, *keys, len(packets.keys)})))
    return Timeline(
        num_frames=num_frames,
        start_seconds=start,
        last_seconds=last,
        duration_seconds=duration,
        frame_rate=frame_rate,
        variable_rate=_is_variable(gaps),
        keyframe_seconds=min(duration, longest / frame_rate),
        edit_list=packets.num_hidden > 0,
        leading_pictures=packets.leading,
        starts_with_key=packets.keys[0],
        estimated=True,
        num_filled=num_filled,
        ticks=packed(ticks) if varies else b"",
        damaged=packets.num_damaged > 0,
        ticks_per_second=0,
    )


def _is_variable(gaps: Int64[np.ndarray, " n"]) -> bool:
    return len(gaps) > 0 and bool(
        np.ptp(gaps) > max(_ROUNDING_TICKS, _RATE_TOLERANCE * float(np.median(gaps)))
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
