"""Read the times of frames of many videos from a CSV file."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from vidmoco.csv_file import called_so, read_csv
from vidmoco.errors import ConfigError, nearest
from vidmoco.text import seconds_of

COLUMNS = ("video", "seconds")


def read_times(path: Path, names: Mapping[str, Sequence[str]]) -> dict[str, tuple[float, ...]]:
    """Return the times of each video that the file names, in seconds.

    Args:
        path: a CSV file with the columns ``video`` and ``seconds`` (also as m:ss or h:mm:ss).
        names: what a video may be called, and the names of the videos that are called so.

    Raises:
        ConfigError: the file cannot be read, or a row names no video, several videos or no time.
    """
    rows, columns = read_csv(path, what="times")
    for column in COLUMNS:
        if column not in columns:
            raise ConfigError(
                f"{path} has no column {column!r}.{nearest(column, columns)} Expected the columns "
                "video and seconds."
            )
    if not rows:
        raise ConfigError(f"{path} has no rows; expected one per frame to take.")
    times: dict[str, list[float]] = defaultdict(list)
    for number, row in enumerate(rows, start=1):
        video, seconds = row["video"], _number(row["seconds"])
        found = called_so(video or "", names)
        if len(found) != 1:
            what = "several of these videos" if found else "none of these videos"
            hint = "" if found else nearest(video or "", names)
            raise ConfigError(f"{path}, row {number} names {what}: {video!r}.{hint}")
        if not 0 <= seconds < math.inf:
            raise ConfigError(
                f"{path}, row {number}: the time is {row['seconds']!r}; it must be 0 or more "
                "seconds, or m:ss or h:mm:ss."
            )
        times[found[0]].append(seconds)
    return {name: tuple(sorted(found)) for name, found in times.items()}


def _number(text: str | None) -> float:
    try:
        return seconds_of(text or "")
    except ValueError:
        return math.nan
