"""Read the times of frames of many videos, or clips of them, from a CSV file."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from vidmoco.config.frame_selection import FrameSelection
from vidmoco.csv_file import called_so, read_csv
from vidmoco.errors import ConfigError, nearest, no_column
from vidmoco.text import seconds_of

_TIMES, _CLIPS = ("video", "seconds"), ("video", "start", "end")


def read_times(
    path: Path, names: Mapping[str, Sequence[str]], selection: FrameSelection
) -> dict[str, tuple[float, ...]]:
    """Return the times of each video that the file names, in seconds.

    Args:
        path: a CSV file with the columns ``video`` and ``seconds`` (also as m:ss or h:mm:ss); or
            with ``video``, ``start`` and ``end`` of clips, several of a video if need be.
        names: what a video may be called, and the names of the videos that are called so.
        selection: its ``fps`` or ``num_frames`` says which frames of each clip are taken.

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
    times: dict[str, list[float]] = defaultdict(list)
    for number, row in enumerate(rows, start=1):
        video = row["video"]
        found = called_so(video or "", names)
        if len(found) != 1:
            what = "several of these videos" if found else "none of these videos"
            hint = "" if found else nearest(video or "", names)
            raise ConfigError(f"{path}, row {number} names {what}: {video!r}.{hint}")
        given = [_number(row[column]) for column in wanted[1:]]
        for column, seconds in zip(wanted[1:], given, strict=True):
            if not 0 <= seconds < math.inf:
                what = "time" if column == "seconds" else column
                raise ConfigError(
                    f"{path}, row {number}: the {what} is {row[column]!r}; it must be 0 or more "
                    "seconds, or m:ss or h:mm:ss."
                )
        if has_clips and given[1] <= given[0]:
            raise ConfigError(
                f"{path}, row {number}: the clip ends at {row['end']!r}, which must be after its "
                f"start, {row['start']!r}."
            )
        times[found[0]] += selection.times_between(*given) if has_clips else given
    once = set if has_clips else list  # clips may overlap
    return {name: tuple(sorted(once(found))) for name, found in times.items()}


def _number(text: str | None) -> float:
    try:
        return seconds_of(text or "")
    except ValueError:
        return math.nan
