"""Labelled images in a Parquet file. Images are read one row group at a time."""

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vidmoco.errors import DataError, nearest
from vidmoco.json_text import parse_json
from vidmoco.shapes import Int64


@dataclass(frozen=True, kw_only=True)
class ParquetLabels:
    """The labels and names of the images in a Parquet file."""

    classes: tuple[str, ...]
    labels: Int64[np.ndarray, " n"]
    names: list[str]
    videos: list[str] | None
    """The video of each image, if the file has a column `video`."""
    groups: list[str] | None
    """The group of each image, if the file has a column `group`."""


# Limit of the row groups in memory. Rows in order need one group, random rows need all.
_MAX_HELD_BYTES = 512 * 2**20


class ParquetImages:
    """The images of a Parquet file. It caches the last row groups, up to half a GiB.

    Every process opens the file itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None
        self._starts: list[int] = []
        self._column = ""
        self._held: OrderedDict[int, Any] = OrderedDict()  # bytes by row group, the newest last

    def __reduce__(self) -> tuple[type["ParquetImages"], tuple[Path]]:
        return ParquetImages, (self.path,)

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
        if self._file is None:
            self._file = pq.ParquetFile(self.path, memory_map=True)
            groups = [
                self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)
            ]
            self._starts = np.cumsum([0, *groups]).tolist()
            self._column = image_column(self._file.schema_arrow, self.path)

    def _read_group(self, group: int) -> Any:
        """Return the bytes of a row group's images."""
        try:
            table = self._file.read_row_group(group, columns=[self._column])
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"row group {group} of {self.path} is damaged: {error}") from error
        column = table.column(0)
        return pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column

    def _hold(self, group: int) -> None:
        """Read a row group, and drop the oldest ones beyond the limit."""
        self._held[group] = self._read_group(group)
        while len(self._held) > 1 and sum(c.nbytes for c in self._held.values()) > _MAX_HELD_BYTES:
            self._held.popitem(last=False)


def read_parquet_labels(path: Path, *, label: str = "label") -> ParquetLabels:
    """Return labels, class names and image names of a Parquet file.

    The file has a column ``image`` (binary, or a struct with ``bytes`` and perhaps ``path``) or
    ``image.bytes`` (binary), and a column ``label`` of whole numbers or strings. It may have
    columns ``video`` and ``group``. The schema metadata may name the classes under ``classes``, as
    a JSON list or separated by commas.

    Raises:
        DataError: the file is not Parquet, lacks a column, or has unusable labels.
    """
    try:
        file = pq.ParquetFile(path, memory_map=True)
        schema = file.schema_arrow
        image = image_column(schema, path)
        if label not in schema.names:
            raise DataError(
                f"{path} has no column {label!r}.{nearest(label, schema.names)} Its columns: "
                f"{', '.join(schema.names)}. Name the column of the classes with --label-column."
            )
        column = file.read(columns=[label]).column(label)
        videos, groups = (_texts(file, name, path=path) for name in ("video", "group"))
        paths = _image_paths(file, image, path=path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"Cannot read {path} as Parquet: {' '.join(str(error).split())}") from error
    if len(column) == 0:
        raise DataError(f"{path} has no images: it has no rows.")
    classes, labels = _classes_and_labels(column, _class_names(schema, path), path=path)
    return ParquetLabels(classes=classes, labels=labels, names=paths, videos=videos, groups=groups)


def _texts(file: Any, name: str, *, path: Path) -> list[str] | None:
    """Return a column as text, or None if it is missing or empty."""
    if name not in file.schema_arrow.names:
        return None
    column = file.read(columns=[name]).column(name)
    if column.null_count == len(column):
        return None
    if column.null_count:
        raise DataError(
            f"{column.null_count} rows of {path} have no {name!r}, but others have. Whether train "
            "and val share one is unknown. Fill the column, or remove it."
        )
    return [str(value) for value in column.to_pylist()]


def image_column(schema: Any, path: Path) -> str:
    """Return the column, or struct member, that holds the bytes of the images."""
    for name in ("image", "image.bytes"):
        if name not in schema.names:
            continue
        kind = schema.field(name).type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return name
        if name == "image" and _has_member(schema, "bytes"):
            return "image.bytes"
        raise DataError(
            f"Column {name!r} of {path} is {kind}; expected binary, or a struct with 'bytes'."
        )
    raise DataError(
        f"{path} has no column 'image'.{nearest('image', schema.names)} Its columns: "
        f"{', '.join(schema.names)}."
    )


def _has_member(schema: Any, name: str) -> bool:
    """Return whether the column ``image`` is a struct with this member."""
    kind = schema.field("image").type
    return pa.types.is_struct(kind) and name in [kind.field(i).name for i in range(len(kind))]


def _image_paths(file: Any, image: str, *, path: Path) -> list[str]:
    """Return a name for each row: its number, with the image's path if the file has one."""
    names: list[str | None] = [None] * file.metadata.num_rows
    schema = file.schema_arrow
    if image == "image.bytes" and "image" in schema.names and _has_member(schema, "path"):
        column = file.read(columns=["image.path"]).column("image")
        names = pc.struct_field(column, "path").to_pylist()
    # With the row number, because paths in a Parquet file need not be unique.
    return [
        f"{path.name} row {row:08d}" + (f" ({name})" if name else "")
        for row, name in enumerate(names)
    ]


def _class_names(schema: Any, path: Path) -> list[str] | None:
    text = (schema.metadata or {}).get(b"classes")
    if text is None:
        return None
    decoded = text.decode("utf-8", errors="replace").strip()
    if decoded.startswith("["):
        try:
            names = parse_json(decoded)
        except ValueError as error:
            raise DataError(
                f"The metadata 'classes' of {path} is not a JSON list: {error}."
            ) from error
    else:
        names = decoded.split(",")
    names = [str(name).strip() for name in names]
    if len(set(names)) != len(names):
        raise DataError(f"The metadata 'classes' of {path} names a class twice.")
    return names


def _classes_and_labels(
    column: Any, names: list[str] | None, *, path: Path
) -> tuple[tuple[str, ...], Int64[np.ndarray, " n"]]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count:
        raise DataError(f"{column.null_count} rows of {path} have no label.")
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        values = column.to_pylist()
        classes = sorted(set(values)) if names is None else names
        unknown = sorted(set(values) - set(classes))
        if unknown:
            raise DataError(
                f"{path} has labels that its metadata 'classes' does not name: {unknown[:8]}."
            )
        lookup = {name: label for label, name in enumerate(classes)}
        return tuple(classes), np.array([lookup[value] for value in values], dtype=np.int64)
    if not pa.types.is_integer(column.type):
        raise DataError(
            f"The labels of {path} are {column.type}; expected whole numbers or strings."
        )
    numbers = column.to_numpy().astype(np.int64)
    if names is None:
        found, labels = np.unique(numbers, return_inverse=True)
        return tuple(str(number) for number in found), labels.astype(np.int64)
    if numbers.min() < 0 or numbers.max() >= len(names):
        raise DataError(
            f"The labels of {path} go from {numbers.min()} to {numbers.max()}, but its metadata "
            f"names {len(names)} classes, 0 to {len(names) - 1}."
        )
    return tuple(names), numbers
