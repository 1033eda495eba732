"""Labelled images in tables: Parquet or Arrow files. Images are read one row group at a time."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vidmoco.errors import DataError, no_column
from vidmoco.images.folders import listed_files
from vidmoco.images.parquet_schema import (
    class_names,
    has_member,
    image_bytes,
    image_column,
    is_text,
    path_column,
)
from vidmoco.images.table_file import ARROW, TableFile, open_table
from vidmoco.shapes import Int64


@dataclass(frozen=True, kw_only=True)
class ParquetLabels:
    """The labels and names of the images in Parquet files."""

    classes: tuple[str, ...]
    are_numbers: bool
    """Whether the classes are numbers that the files name nowhere."""
    labels: Int64[np.ndarray, " n"]
    names: list[str]
    videos: list[str] | None
    """The video of each image, if the files have a column `video`."""
    groups: list[str] | None
    """The group of each image, if the files have a column `group`."""
    files: list[Path] | None
    """The files of the images, if the column has their paths."""


# Limit of the row groups in memory. Rows in order need one group, random rows need all.
_MAX_HELD_BYTES = 512 * 2**20


class ParquetImages:
    """The images of Parquet files. It caches the last row groups, up to half a GiB.

    Every process opens the files itself.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._groups: list[tuple[Path, TableFile, int, str]] = []  # path, file, row group, column
        self._starts: list[int] = []
        self._held: OrderedDict[int, Any] = OrderedDict()  # bytes by row group, the newest last

    def __reduce__(self) -> tuple[type["ParquetImages"], tuple[tuple[Path, ...]]]:
        return ParquetImages, (self.paths,)

    def read(self, row: int) -> bytes:
        """Return the bytes of one image, or raise ``DataError`` if they are missing or damaged."""
        self._open()
        group = bisect_right(self._starts, row) - 1
        if group not in self._held:
            self._hold(group)
        self._held.move_to_end(group)
        data: bytes | None = self._held[group][row - self._starts[group]].as_py()
        if data is None:
            raise DataError("the row has no bytes")
        return data

    def sizes(self) -> Int64[np.ndarray, " n"]:
        """Return the size of each image in bytes, or -1 if it is missing or damaged."""
        self._open()
        sizes = np.full(self._starts[-1], -1, dtype=np.int64)
        for group, start in enumerate(self._starts[:-1]):
            try:
                lengths = pc.binary_length(self._read_group(group))
            except DataError:
                continue
            sizes[start : start + len(lengths)] = pc.fill_null(lengths, -1).to_numpy()
        return sizes

    def _open(self) -> None:
        if self._starts:
            return
        counts = [0]
        for path in self.paths:
            file = open_table(path)
            column = image_column(file.schema, path)
            for group, num_rows in enumerate(file.group_sizes):
                self._groups.append((path, file, group, column))
                counts.append(num_rows)
        self._starts = np.cumsum(counts).tolist()

    def _read_group(self, group: int) -> Any:
        """Return the bytes of a row group's images."""
        path, file, number, column = self._groups[group]
        try:
            return image_bytes(file.read_group(number, column))
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"row group {number} of {path} is damaged: {error}") from error

    def _hold(self, group: int) -> None:
        """Read a row group, and drop the oldest ones beyond the limit."""
        self._held[group] = self._read_group(group)
        while len(self._held) > 1 and sum(c.nbytes for c in self._held.values()) > _MAX_HELD_BYTES:
            self._held.popitem(last=False)


def read_parquet_labels(paths: Sequence[Path], *, label: str = "label") -> ParquetLabels:
    """Return labels, class names and image names of Parquet files, the shards of one part.

    A file has a column of images (see ``image_column``) and a column ``label`` of whole numbers or
    strings. It may have columns ``video`` and ``group``. Its schema metadata may name the classes:
    under ``classes``, as a JSON list or separated by commas, or as Hugging Face's ``datasets``
    does, under ``huggingface``. Where the shards name or number their classes in different orders,
    the names decide.

    Raises:
        DataError: a file is not Parquet, lacks a column, or has unusable labels.
    """
    shards = [_read_labels(path, label) for path in paths]
    if not sum(len(shard.labels) for shard in shards):
        raise DataError(f"{paths[0]} has no images: it has no rows.")
    shards = [shard for shard in shards if len(shard.labels)]
    if len({shard.are_numbers for shard in shards}) > 1:
        raise DataError(
            f"Some of the shards of {paths[0].parent} name their classes, and others only number "
            "them. Write the names to the metadata of all."
        )
    classes = _union_of_classes(shards)
    number = {name: label for label, name in enumerate(classes)}
    labels = [
        np.array([number[name] for name in shard.classes], dtype=np.int64)[shard.labels]
        for shard in shards
    ]
    return ParquetLabels(
        classes=classes,
        are_numbers=shards[0].are_numbers,
        labels=np.concatenate(labels),
        names=[name for shard in shards for name in shard.names],
        videos=_joined([shard.videos for shard in shards], "video", paths[0]),
        groups=_joined([shard.groups for shard in shards], "group", paths[0]),
        files=_joined_files([shard.files for shard in shards], paths[0]),
    )


def _read_labels(path: Path, label: str) -> ParquetLabels:
    """Return the labels of one file."""
    try:
        file = open_table(path)
        schema = file.schema
        listed = path_column(schema)
        image = listed or image_column(schema, path)
        if label not in schema.names:
            raise DataError(
                f"{no_column(path, label, schema.names)} Name the column of the classes with "
                "--label-column."
            )
        column = file.read(label)
        videos, groups = (_texts(file, name, path=path) for name in ("video", "group"))
        paths = None if listed is None else file.read(listed)
        names = _names(file, image, path=path) if paths is None else paths.to_pylist()
    except (pa.ArrowException, OSError) as error:
        what = "Arrow" if path.suffix.lower() == ARROW else "Parquet"
        raise DataError(f"Cannot read {path} as {what}: {' '.join(str(error).split())}") from error
    if paths is not None and paths.null_count:
        raise DataError(f"{paths.null_count} rows of {path} have no {listed!r}.")
    classes, labels, are_numbers = _classes_and_labels(
        column, class_names(schema, label, path), path=path
    )
    return ParquetLabels(
        classes=classes,
        are_numbers=are_numbers,
        labels=labels,
        names=names,
        videos=videos,
        groups=groups,
        files=None if paths is None else listed_files(names, path),
    )


def _union_of_classes(shards: Sequence[ParquetLabels]) -> tuple[str, ...]:
    """Return the classes of all shards: their own order if it is one, else sorted."""
    if len({shard.classes for shard in shards}) == 1:
        return shards[0].classes
    union = {name for shard in shards for name in shard.classes}
    return tuple(sorted(union, key=int if shards[0].are_numbers else None))


def _joined(parts: Sequence[list[str] | None], what: str, path: Path) -> list[str] | None:
    """Return the videos or groups of all shards, or None if no shard has them."""
    if all(part is None for part in parts):
        return None
    if any(part is None for part in parts):
        raise DataError(
            f"Only some of the shards of {path.parent} have a column {what!r}. Whether train and "
            "val share one is unknown. Add it to all, or to none."
        )
    return [value for part in parts for value in part or ()]


def _joined_files(parts: Sequence[list[Path] | None], path: Path) -> list[Path] | None:
    """Return the files of all shards, or None if their images are in the shards."""
    given = [part for part in parts if part is not None]
    if given and len(given) < len(parts):
        raise DataError(
            f"Some of the shards of {path.parent} have images, and others only their paths. Put "
            "the same into all."
        )
    return [file for part in given for file in part] if given else None


def _texts(file: TableFile, name: str, *, path: Path) -> list[str] | None:
    """Return a column as text, or None if it is missing or empty."""
    if name not in file.schema.names:
        return None
    column = file.read(name)
    if column.null_count == len(column):
        return None
    if column.null_count:
        raise DataError(
            f"{column.null_count} rows of {path} have no {name!r}, but others have. Whether train "
            "and val share one is unknown. Fill the column, or remove it."
        )
    return [str(value) for value in column.to_pylist()]


def _names(file: TableFile, image: str, *, path: Path) -> list[str]:
    """Return a name for each row: its number, with the image's path if the file has one."""
    names: list[str | None] = [None] * sum(file.group_sizes)
    schema = file.schema
    column = image.removesuffix(".bytes")
    if image != column and column in schema.names and has_member(schema.field(column).type, "path"):
        names = pc.struct_field(file.read(f"{column}.path"), "path").to_pylist()
    # With the row number, because paths in a Parquet file need not be unique.
    return [
        f"{path.name} row {row:08d}" + (f" ({name})" if name else "")
        for row, name in enumerate(names)
    ]


def _classes_and_labels(
    column: Any, names: list[str] | None, *, path: Path
) -> tuple[tuple[str, ...], Int64[np.ndarray, " n"], bool]:
    """Return the classes, the class of each row, and whether the classes are mere numbers."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.string() if names is None else pa.int8())
    elif pa.types.is_floating(column.type):
        column = _whole_numbers(column)
    if column.null_count:
        raise DataError(f"{column.null_count} rows of {path} have no label.")
    if is_text(column.type):
        values = column.to_pylist()
        classes = sorted(set(values)) if names is None else names
        unknown = sorted(set(values) - set(classes))
        if unknown:
            raise DataError(f"{path} has labels that its metadata does not name: {unknown[:8]}.")
        lookup = {name: label for label, name in enumerate(classes)}
        return tuple(classes), np.array([lookup[value] for value in values], dtype=np.int64), False
    if not pa.types.is_integer(column.type):
        several = pa.types.is_nested(column.type) and not pa.types.is_struct(column.type)
        raise DataError(
            f"The labels of {path} are {column.type}; expected whole numbers, strings or booleans."
            + " Several labels of an image are not supported: keep one of each." * several
        )
    numbers = column.to_numpy()
    if names is None:
        found, labels = np.unique(numbers, return_inverse=True)
        return tuple(str(number) for number in found), labels.astype(np.int64), True
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(names)):
        raise DataError(
            f"The labels of {path} go from {numbers.min()} to {numbers.max()}, but its metadata "
            f"names {len(names)} classes, 0 to {len(names) - 1}. (-1 often means no label.)"
        )
    mere_numbers = names == [str(number) for number in range(len(names))]
    return tuple(names), numbers.astype(np.int64), mere_numbers


def _whole_numbers(column: Any) -> Any:
    """Return floats as integers if all are whole, as pandas writes numbers beside missing ones."""
    column = column.cast(pa.float64())
    column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    is_whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0**53))
    return column if pc.all(is_whole).as_py() is False else column.cast(pa.int64())
