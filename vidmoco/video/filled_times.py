"""Repair times of frames that are missing, repeated or out of order.

Times that fit their neighbours stay. The others are filled in between them.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from vidmoco.shapes import Int64

# A few times that do not fit are faults. More in a row are another clock: recordings end to end.
_MAX_FAULTS_IN_A_ROW = 3


def fill_times(
    times: Sequence[int | None], *, step: int
) -> tuple[Int64[np.ndarray, " n"], int] | None:
    """Return increasing times of all frames and how many are filled, or None if few times fit.

    Args:
        times: the known times of the frames in the order in which they are shown, in ticks.
        step: ticks of a frame, if the times do not tell.
    """
    known = [(place, time) for place, time in enumerate(times) if time is not None]
    known = _without_repeats(known)
    kept = _increasing(known)
    if _most_in_a_row(known, kept) > _MAX_FAULTS_IN_A_ROW:
        kept = _on_one_clock(known, step)
    if 2 * len(kept) <= len(known):
        return None
    places, values = (np.array(column, np.int64) for column in zip(*kept, strict=True))
    if len(kept) > 1:
        step = max(1, round(float(np.median(np.diff(values) / np.diff(places)))))
    wanted = np.arange(len(times))
    filled = np.floor(np.interp(wanted, places, values) + 0.5).astype(np.int64)
    filled += step * (np.minimum(wanted - places[0], 0) + np.maximum(wanted - places[-1], 0))
    return filled, len(times) - len(kept)


def _without_repeats(known: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out one of two equal times in a row: that on the side of the wider gap."""
    kept: list[tuple[int, int]] = []
    for number, (place, time) in enumerate(known):
        if kept and kept[-1][1] == time:
            after = known[number + 1][1] - time if number + 1 < len(known) else 0
            if len(kept) > 1:
                drops_first = time - kept[-2][1] > after > 0
            else:  # at the start: is there room for another frame behind it?
                beyond = 0
                if number + 2 < len(known):
                    beyond = known[number + 2][1] - known[number + 1][1]
                drops_first = 2 * after < 3 * beyond
            if not drops_first:
                continue
            kept.pop()
        kept.append((place, time))
    return kept


def _increasing(known: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the most (place, time) that increase, with a tick for each frame between them."""
    tails: list[int] = []  # of the sequences of each length, that which ends lowest
    ends: list[int] = []
    before: list[int] = []
    for number, (place, time) in enumerate(known):
        length = bisect_right(tails, time - place)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [time - place]
        ends[length : length + 1] = [number]
    kept = []
    number = ends[-1] if ends else -1
    while number >= 0:
        kept.append(known[number])
        number = before[number]
    return _with_likely_start(known, kept[::-1])


def _with_likely_start(
    known: list[tuple[int, int]], kept: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Begin with the time whose gap to the second one is the most usual, of those that fit."""
    if len(kept) < 3:
        return kept
    gaps = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(kept[1:])]
    usual, (place, time) = float(np.median(gaps)), kept[1]
    fitting = [one for one in known[: _MAX_FAULTS_IN_A_ROW + 1] if one[0] < place]
    fitting = [one for one in fitting if time - one[1] >= place - one[0]]
    kept[0] = min(
        [kept[0], *fitting], key=lambda one: abs((time - one[1]) / (place - one[0]) - usual)
    )
    return kept


def _most_in_a_row(known: list[tuple[int, int]], kept: list[tuple[int, int]]) -> int:
    """Return the greatest number of known times in a row that are not kept."""
    number_of = {place: number for number, (place, _) in enumerate(known)}
    numbers = [-1, *(number_of[place] for place, _ in kept), len(known)]
    return max(b - a for a, b in pairwise(numbers)) - 1


def _on_one_clock(known: list[tuple[int, int]], step: int) -> list[tuple[int, int]]:
    """Return the times with each recording put behind the one before it."""
    runs: list[list[tuple[int, int]]] = []
    for place, time in known:
        if len(runs) > 1 and len(runs[-1]) <= _MAX_FAULTS_IN_A_ROW and time > runs[-2][-1][1]:
            del runs[-1]  # too low, and the clock goes on
        faults = _faults_before(runs[-1], time) if runs else None
        if faults is None:
            runs.append([])
        elif faults:
            del runs[-1][-faults:]
        runs[-1].append((place, time))
    joined: list[tuple[int, int]] = []
    for run in map(_increasing, runs):
        if len(run) <= _MAX_FAULTS_IN_A_ROW:
            continue
        if len(run) > 1:
            gaps = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(run)]
            step = max(1, round(float(np.median(gaps))))
        shift = 0
        if joined and joined[-1][1] + run[0][0] - joined[-1][0] > run[0][1]:
            shift = joined[-1][1] + step * (run[0][0] - joined[-1][0]) - run[0][1]
        joined += [(place, time + shift) for place, time in run]
    return joined


def _faults_before(run: list[tuple[int, int]], time: int) -> int | None:
    """Return how many times at the end of a run are too high for ``time``; None if too many are."""
    for faults in range(min(_MAX_FAULTS_IN_A_ROW, len(run) - 1) + 1):
        if run[-1 - faults][1] < time:
            return faults
    return None
