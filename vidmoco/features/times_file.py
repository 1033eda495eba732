"""Read the times of frames of many videos, or clips of them, from a CSV file."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vidmoco.config.frame_selection import SELECTION_KEYS, ClipSelection, FrameSelection
from vidmoco.csv_file import called_so, read_csv
from vidmoco.errors import ConfigError, nearest, no_column
from vidmoco.text import seconds_of

_TIMES, _CLIPS = ("video", "seconds"), ("video", "start", "end")
_OPEN = {"start": 0.0, "end": math.inf}


def read_selections(
    path: Path, names: Mapping[str, Sequence[str]], selection: FrameSelection
) -> dict[str, FrameSelection]:
    """Return which frames to take of each video that the file names.

    Args:
        path: a CSV file with the columns ``video`` and ``seconds`` (also as m:ss or h:mm:ss); or
            with ``video``, ``start`` and ``end`` of clips, several of a video if need be. An empty
            start or end is that of the video.
        names: what a video may be called, and the names of the videos that are called so.
        selection: its ``fps`` or ``num_frames`` says which frames of each clip are taken, and
            ``start`` and ``end`` which part of a video.

    Raises:
        ConfigError: the file cannot be read, or a row names no video, several videos or no time;
            or there are clips and the selection does not say which frames, or the reverse.
    """
    rows, columns = read_csv(path, what="times")
    has_clips = "seconds" not in columns and not {"start", "end"}.isdisjoint(columns)
    wanted = _CLIPS if has_clips else _TIMES
    for column in wanted:
        if column not in columns:
            raise ConfigError(
                f"{no_column(path, column, columns)} Expected video and seconds, or video, start "
                "and end."
            )
    if has_clips != bool(selection.ways):
        raise ConfigError(
            f"{path} has clips of videos, from start to end. Say which frames of each: --fps or "
            "--num-frames."
            if has_clips
            else f"{path} has times, and {selection.ways[0]} is given too. Give only one of them."
        )
    if not rows:
        raise ConfigError(f"{path} has no rows; expected one per frame to take.")
    given: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for number, row in enumerate(rows, start=1):
        video = row["video"]
        found = called_so(video or "", names)
        if len(found) != 1:
            what = "several of these videos" if found else "none of these videos"
            hint = "" if found else nearest(video or "", names)
            raise ConfigError(f"{path}, row {number} names {what}: {video!r}.{hint}")
        times = tuple(
            _seconds(row[column], column, f"{path}, row {number}") for column in wanted[1:]
        )
        if has_clips and times[1] <= times[0]:
            raise ConfigError(
                f"{path}, row {number}: the clip ends at {row['end']!r}, which must be after its "
                f"start, {row['start'] or '0'!r}."
            )
        given[found[0]].append(times)
    if has_clips:
        kept = {name: getattr(selection, name) for name in SELECTION_KEYS}
        return {name: ClipSelection(**kept, clips=_clips(rows)) for name, rows in given.items()}
    return {
        name: replace(selection, times=tuple(sorted(time for (time,) in rows)))
        for name, rows in given.items()
    }


def _seconds(text: str | None, column: str, where: str) -> float:
    """Return a time of a row; an empty start or end is that of the video."""
    if text is not None and not text.strip() and column in _OPEN:
        return _OPEN[column]
    try:
        seconds = seconds_of(text or "")
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        what = "time" if column == "seconds" else column
        raise ConfigError(
            f"{where}: the {what} is {text!r}; it must be 0 or more seconds, or m:ss or h:mm:ss"
            + (", or empty for that of the video." if column in _OPEN else ".")
        )
    return seconds


def _clips(rows: Sequence[tuple[float, ...]]) -> tuple[tuple[float, float | None], ...]:
    return tuple((start, None if end == math.inf else end) for start, end in sorted(set(rows)))
