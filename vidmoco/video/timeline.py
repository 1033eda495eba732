"""Compute the times of a video's frames from its packets, without a decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from vidmoco.shapes import Int64
from vidmoco.video.filled_times import fill_times
from vidmoco.video.packet_list import PacketList
from vidmoco.video.ticks import packed

# assumption: the rate is variable if gaps between frames differ by more than this fraction.
_RATE_TOLERANCE = 0.05
# A clock of milliseconds (Matroska) rounds each time, so gaps differ by up to two ticks.
_ROUNDING_TICKS = 2


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
