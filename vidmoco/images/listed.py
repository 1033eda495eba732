"""Labelled images of a list: a CSV or JSON-lines file with a row for each image.

A row has the path of the image (see ``listed_files``) and its class. It may have a part, a
video and a group. Hugging Face's ``metadata.csv`` and ``metadata.jsonl`` are such lists.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vidmoco.csv_file import header_is_row, read_csv, uneven_line
from vidmoco.errors import ConfigError, DataError, no_column
from vidmoco.images.folders import METADATA, TRAIN, VAL, listed_files
from vidmoco.images.labelled import ImageFiles, LabelledImages
from vidmoco.images.parquet_schema import PATHS
from vidmoco.json_text import parse_json
from vidmoco.text import counted, read_text
from vidmoco.video.files import VIDEO_SUFFIXES

Row = Mapping[str, Any]


def metadata_of(folder: Path, *, label: str) -> Path | None:
    """Return the list in a folder of images that says their classes, or None."""
    for path in (folder / name for name in METADATA):
        if path.is_file() and {"file_name", label} <= {*_read(path)[1]}:
            return path
    return None


def read_listed(path: Path, *, split: str, label: str, is_only: bool) -> list[LabelledImages]:
    """Return the images of a list, in one part, or in train and val as its column `split` says.

    Args:
        path: The list.
        split: Name of the part, if it is one.
        label: Column of the classes.
        is_only: Whether there is no other part, so that the column `split` matters.

    Raises:
        ConfigError: the list cannot be read, or lacks a column.
        DataError: it has no rows, an image twice, or a row without path, label, part, video or
            group; or none of the images is there.
    """
    rows, columns = _read(path)
    if not columns:
        raise ConfigError(f"{path} is empty. Expected a row for each image, with path and {label}.")
    name = next((one for one in PATHS if one in columns), None)
    for column, hint in ((name or PATHS[0], ""), (label, " Name it with --label-column.")):
        if column not in columns:
            raise ConfigError(
                f"{no_column(path, column, columns)}{header_is_row(columns)}{hint} Expected a row "
                f"for each image, with its {PATHS[0]} and {label}."
            )
    assert name is not None
    names, labels = (_texts(rows, column, path=path) for column in (name, label))
    if not names:
        raise DataError(f"{path} has no images: it has no rows.")
    twice, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise DataError(
            f"{path} lists {twice!r} {times} times; expected one row for each image. Several "
            "labels of an image are not supported: keep one."
        )
    if Path(names[0]).suffix.lower() in VIDEO_SUFFIXES:
        raise DataError(
            f"{path} lists videos, such as {names[0]!r}. Give their folder, and the list with "
            f"--videos.labels {path}."
        )
    are_numbers = all(one.removeprefix("-").isdecimal() for one in labels)
    classes = tuple(sorted(set(labels), key=int if are_numbers else None))
    number = {one: place for place, one in enumerate(classes)}
    folder = f"{path.parent.name}/" if path.name in METADATA else ""
    videos, groups = (
        _texts(rows, column, path=path)
        if any(row.get(column) not in (None, "") for row in rows)
        else None
        for column in ("video", "group")
    )
    images = LabelledImages(
        split=split,
        classes=classes,
        labels=torch.tensor([number[one] for one in labels], dtype=torch.int64),
        names=[folder + one for one in names],
        source=ImageFiles(paths=listed_files(names, path)),
        rows=range(len(names)),
        videos=videos,
        groups=groups,
        classes_are_numbers=are_numbers,
    )
    if not is_only or "split" not in columns:
        return [images]
    return _parted(images, _texts(rows, "split", path=path), path=path)


def _parted(images: LabelledImages, parts: Sequence[str], *, path: Path) -> list[LabelledImages]:
    """Return train, and the first of the val parts that the rows name, if they name one."""
    parts = [part.lower() for part in parts]
    odd = sorted({*parts} - {*TRAIN, *VAL})
    if odd or not {*parts} & {*TRAIN}:
        what = f"has {odd[0]!r}" if odd else "names no row of train"
        raise DataError(
            f"Column 'split' of {path} {what}; expected {', '.join((*TRAIN, *VAL))}. Delete other "
            "rows, or rename the column to have val drawn."
        )
    val = next((name for name in VAL if name in parts), None)
    return [
        replace(images.subset([n for n, part in enumerate(parts) if part in names]), split=names[0])
        for names in (TRAIN, (val,))
        if names[0] is not None
    ]


def _read(path: Path) -> tuple[list[Row], list[str]]:
    """Return the rows and the columns of a list."""
    if path.suffix.lower() != ".jsonl":
        table, columns = read_csv(path, what="list of images")
        if any(None in row or None in row.values() for row in table):
            raise ConfigError(f"{path}, {uneven_line(path)}.")
        return list(table), columns
    rows: list[Row] = []
    for number, line in enumerate(read_text(path, what="list of images").split("\n"), start=1):
        try:
            row = parse_json(line) if line.strip() else {}
        except ValueError as error:
            raise DataError(f"Line {number} of {path} is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(f"Line {number} of {path} is no JSON object: {line[:40]!r}.")
        rows += [row] if row else []
    return rows, list(dict.fromkeys(column for row in rows for column in row))


def _texts(rows: Sequence[Row], column: str, *, path: Path) -> list[str]:
    """Return a column as text, without spaces around it, or refuse a row that has none."""
    values = [row.get(column) for row in rows]
    if any(isinstance(value, list | dict) for value in values):
        raise DataError(
            f"Column {column!r} of {path} has lists; expected one text or number in each row. "
            "Several labels of an image are not supported."
        )
    texts = ["" if value is None else str(value).strip() for value in values]
    missing = texts.count("")
    if missing:
        raise DataError(
            f"{counted(missing, 'row')} of {path} without a {column!r}. Fill the column, or delete "
            "these rows."
        )
    return texts
