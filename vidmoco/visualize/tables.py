"""Tables of candidates: CSV files, and their first rows on the terminal."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from vidmoco.atomic_file import atomic_write
from vidmoco.console import Table, say
from vidmoco.features.feature_set import FeatureSet
from vidmoco.shapes import Int64
from vidmoco.visualize.display import shown_seconds
from vidmoco.visualize.duplicates import DuplicatePair
from vidmoco.visualize.shots import Shot

SHOT_COLUMNS = ("file", "seconds", "similarity", "usual_similarity", "score")
DUPLICATE_COLUMNS = (
    *("file_a", "file_b", "frames_a", "similarity", "seconds_a", "seconds_b"),
    "same_video",  # yes: the two frames are of one video, so there is no copy to delete
)
_FIRST_ROWS = 5


def shot_rows(features: FeatureSet, shots: Sequence[Shot]) -> list[tuple[object, ...]]:
    """Return the rows of ``SHOT_COLUMNS``."""
    return [
        (
            features.name_of(shot.row),
            float(features.times[shot.row]),
            f"{shot.similarity:.4f}",
            f"{shot.usual:.4f}",
            f"{shot.score:.1f}",
        )
        for shot in shots
    ]


def duplicate_rows(
    features: FeatureSet, pairs: Sequence[DuplicatePair], compared: Int64[np.ndarray, " m"]
) -> list[tuple[object, ...]]:
    """Return the rows of ``DUPLICATE_COLUMNS``; ``compared`` are the compared feature rows."""
    rows = []
    for pair in pairs:
        best = compared[list(pair.best)].tolist()
        names = [features.name_of(row) for row in best]
        times = features.times[best].tolist()
        same = "yes" if pair.is_within else "no"
        rows.append((*names, pair.num_frames, f"{pair.similarity:.4f}", *times, same))
    return rows


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table, atomically.

    Raises:
        ConfigError: the file cannot be written.
    """
    with (
        atomic_write(path, advice=", or give another -o.") as part,
        # A file name may have bytes that are not UTF-8.
        part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def print_first_rows(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Print the first rows of a table, with names escaped."""
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for title in columns:
        is_name = title.startswith("file")
        table.add_column(title, justify="left" if is_name else "right", overflow="fold")
    for row in rows[:_FIRST_ROWS]:
        table.add_row(*(shown_seconds(x) if isinstance(x, float) else str(x) for x in row))
    console.print(table)
    if len(rows) > _FIRST_ROWS:
        say(console, f"… and {len(rows) - _FIRST_ROWS:,} more")
