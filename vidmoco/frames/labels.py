"""What prepared videos are called, and what is known of them besides their frames."""

import csv
from collections import Counter
from pathlib import Path

from vidmoco.errors import ConfigError, nearest
from vidmoco.frames.index import FRAME_COLUMNS
from vidmoco.video.catalog import Catalog


def names_of(catalog: Catalog) -> list[str]:
    """Return a name for each video: its key, after that of its folder where keys are alike.

    Raises:
        ConfigError: two videos would have one name.
    """
    keys, roots = catalog.column("key").tolist(), catalog.column("root").tolist()
    if len(set(keys)) < len(keys):
        keys = [f"{Path(root).name}/{key}" for root, key in zip(roots, keys, strict=True)]
    (name, count), *_ = Counter(keys).most_common(1)
    if count > 1:
        raise ConfigError(
            f"{count} videos of different folders would be named {name!r}. Prepare the folder "
            "above them, or each into a folder of its own."
        )
    return list(keys)


def read_labels(path: Path, *, key: str) -> dict[str, dict[str, str]]:
    """Return the columns of a CSV file, each by the name of the video.

    Raises:
        ConfigError: it cannot be read, has no such column, or names a video twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"Cannot read the labels {path}: {error}.") from error
    if key not in columns:
        raise ConfigError(
            f"{path} has no column {key!r}.{nearest(key, columns)} Its columns: "
            f"{', '.join(columns)}. Name the one with the videos' paths by --labels-key."
        )
    if len(columns) == 1 or "" in columns or len(set(columns)) < len(columns):
        raise ConfigError(
            f"{path} has the columns {', '.join(map(repr, columns))}; expected {key!r} and one or "
            "more labels, each with a name of its own."
        )
    if any(None in row or None in row.values() for row in rows):  # DictReader's, of other lengths
        raise ConfigError(f"A row of {path} has not as many fields as its header.")
    reserved = {"video", *FRAME_COLUMNS} & set(columns) - {key}
    if reserved:
        raise ConfigError(f"{path} has a column {min(reserved)!r}, which the index has already.")
    if len({row[key] for row in rows}) < len(rows):
        raise ConfigError(f"{path} names a video twice; one row a video was expected.")
    return {column: {row[key]: row[column] for row in rows} for column in columns if column != key}
