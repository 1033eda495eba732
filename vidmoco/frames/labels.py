"""Names and labels of prepared videos."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from vidmoco.csv_file import called_so, header_is_row, meant, read_csv, uneven_line
from vidmoco.errors import ConfigError, no_column
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo


def names_of(catalog: Catalog) -> list[str]:
    """Return the name of each video: its key, preceded by its folder's name if keys repeat.

    Raises:
        ConfigError: two videos would have the same name.
    """
    keys, roots = catalog.column("key").tolist(), catalog.column("root").tolist()
    if len(set(keys)) < len(keys):
        keys = [f"{Path(root).name}/{key}" for root, key in zip(roots, keys, strict=True)]
    for name, count in Counter(keys).most_common(1):
        if count > 1:
            raise ConfigError(
                f"{count} videos of different folders would be named {name!r}. Give their common "
                "parent folder, or each its own -o."
            )
    return list(keys)


def calls_of(videos: Mapping[str, VideoInfo]) -> dict[str, list[str]]:
    """Return the names of videos by what a user may call them: a name, a key or a path."""
    called: dict[str, list[str]] = defaultdict(list)
    for name, video in videos.items():
        for call in {name, video.key, str(video.path)}:
            called[call].append(name)
    return called


def read_labels(path: Path, *, key: str, reserved: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the columns of a CSV file, each by the name of the video.

    Raises:
        ConfigError: the file cannot be read, is empty, has no column ``key``, has one of the
            ``reserved`` names of other columns or one without a name, or names a video twice or
            none in a row.
    """
    rows, columns = read_csv(path, what="labels")
    rows = [row for row in rows if any(row.values())]  # spreadsheets write rows of commas
    expected = f"Expected a first line such as {key},label, and a row for each video."
    if not any(columns):
        raise ConfigError(f"{path} is empty, or its first line is. {expected}")
    if key not in columns:
        raise ConfigError(
            f"{no_column(path, key, columns)}{header_is_row(columns)} Name the column of the "
            "videos' paths with --labels-key."
        )
    if "" in columns:
        raise ConfigError(
            f"{path}: column {columns.index('') + 1} of {len(columns)} has no name in the first "
            "line. Name it or delete it (pandas writes its index so, without index=False)."
        )
    lower = {column: column.lower() for column in columns}  # DuckDB and Spark see no difference
    if len(columns) == 1 or len(set(lower.values())) < len(columns):
        raise ConfigError(
            f"{path} has the columns {', '.join(map(repr, columns))}; expected {key!r} and one or "
            "more labels with different names, also apart from upper and lower case."
        )
    if not rows:
        raise ConfigError(f"{path} has no rows below its first line. {expected}")
    if any(None in row or None in row.values() for row in rows):  # DictReader's mark of a length
        raise ConfigError(f"{path}, {uneven_line(path)}.")
    if taken := [one for one in columns if one != key and lower[one] in reserved]:
        raise ConfigError(
            f"{path} has a column {taken[0]!r}, which the dataset has already. Rename it."
        )
    if unnamed := next((row for row in rows if not row[key]), None):
        values = ", ".join(map(str, unnamed.values()))
        raise ConfigError(
            f"{path} has a row without a video in its column {key!r}: {values}. Name it or delete "
            "the row."
        )
    _require_once([row[key] for row in rows], path)
    return {column: {row[key]: row[column] for row in rows} for column in columns if column != key}


def _require_once(names: Sequence[str], path: Path) -> None:
    for name, count in Counter(names).most_common(1):
        if count > 1:
            raise ConfigError(
                f"{path} names a video twice: {name!r} has {count} rows; expected one per video."
            )


def labels_of(
    labels: Mapping[str, Mapping[str, str]],
    videos: Mapping[str, Sequence[str]],
    *,
    path: Path,
    key: str,
) -> dict[str, dict[str, str]]:
    """Return labels by the names of the videos, which the file may write in another form.

    Args:
        labels: what ``read_labels`` returns.
        videos: as in ``called_so``.
        path: the file, for errors.
        key: its column of the videos.

    Raises:
        ConfigError: the labels name none of the videos, one in two forms, or several as one.
    """
    labelled = {name for by_name in labels.values() for name in by_name}
    found = {name: called_so(name, videos) for name in labelled}
    if several := [name for name, names in found.items() if len(names) > 1]:
        raise ConfigError(f"{path} names several of these videos: {several[0]!r}.")
    if not any(found.values()):
        one = min((names[0] for names in videos.values()), default="")
        called = f", and a video is called {one!r}" if one else ""
        raise ConfigError(
            f"{path} names none of these videos in its column {key!r}: it has {min(labelled)!r}"
            f"{called}. Name the column with --labels-key, or write the videos' names in this form."
        )
    names = {name: one[0] if one else meant(name, videos) for name, one in found.items()}
    _require_once(list(names.values()), path)
    return {
        column: {names[name]: label for name, label in by_name.items()}
        for column, by_name in labels.items()
    }
