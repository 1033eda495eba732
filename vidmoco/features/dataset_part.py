"""A part of a dataset: a Parquet file with rows of several videos, or of a piece of a long one.

What a part holds stands in its own footer, so a part and the record of it come into being at one
moment, by one renaming or one upload. A record elsewhere could be missing when its part is there.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vidmoco.atomic_file import remove, writing
from vidmoco.errors import DataError
from vidmoco.features.feature_file import Piece
from vidmoco.features.output_folder import ADVICE
from vidmoco.text import reason_of

_KEY = b"vidmoco.part"
_GROUP_BYTES = 8 * 2**20  # of features; what a reader of one row must decode
_MAX_GROUP_ROWS = 65_536
_TEXTS = ("video", "video_id")
Labels = Mapping[str, Mapping[str, str | None]]
"""The labels of videos, by their names."""
Columns = Mapping[str, Mapping[str, str]]
"""Columns of labels: each by what the table calls the videos."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a part holds of a video."""

    video: str
    """Its name: the path below the folder that was given."""
    video_id: str
    identity: str
    """What decides its features beside the settings: the content of the file, and its times."""
    source: str
    source_bytes: int
    source_mtime_ns: int
    seconds: float
    """Duration of the video."""
    start_seconds: float
    made: float
    """When its extraction began, in seconds since 1970. Of two, the newer one counts."""
    extract_seconds: float = 0.0
    labels: dict[str, str | None] = field(default_factory=dict)
    """By column. One that is missing here is as the rows have it."""
    damage: tuple[str, ...] = ()
    rows: int = 0
    """In this part."""
    piece: int = 0
    """Number of the piece of a long video, which has parts of its own."""
    is_last: bool = True
    """A long video counts when its last piece is there."""


@dataclass(frozen=True)
class Part:
    """A finished part."""

    name: str
    num_bytes: int
    worker: str
    """The process that wrote it."""
    replaces: frozenset[str]
    """Names of parts whose rows are in this one."""
    entries: tuple[Entry, ...]
    """In the order of their rows."""
    schema: pa.Schema

    @property
    def labels(self) -> list[str]:
        """The names of the columns of labels."""
        return labels_in(self.schema)

    @property
    def starts(self) -> list[int]:
        """The first row of each entry, and the number of rows."""
        return np.cumsum([0, *(entry.rows for entry in self.entries)]).tolist()  # type: ignore[no-any-return]


def schema_of(settings: dict[str, Any]) -> pa.Schema:
    """Return the columns of a dataset with these settings."""
    kind = pa.from_numpy_dtype(np.dtype(settings["dtype"]))
    for size in reversed(settings["row_shape"]):  # lists of lists for patch tokens
        kind = pa.list_(kind, size)
    pooled = "pool" in settings
    return pa.schema(
        [
            ("video", pa.string()),
            ("video_id", pa.string()),
            *([] if pooled else [("frame", pa.int64())]),
            ("pts_seconds", pa.float64()),
            *([("end_seconds", pa.float64())] if pooled else []),
            ("feature", kind),
            *((label, pa.string()) for label in settings["labels"]),
        ]
    )


def labels_in(schema: pa.Schema) -> list[str]:
    """Return the names of the columns of labels, which are behind the features."""
    return list(schema.names[schema.get_field_index("feature") + 1 :])


def table_of(schema: pa.Schema, entry: Entry, piece: Piece, *, ends: Sequence[float]) -> pa.Table:
    """Return some rows of a video. ``ends`` are those of pooled rows."""
    kind, shape = schema.field("feature").type, []
    while isinstance(kind, pa.FixedSizeListType):
        shape.append(kind.list_size)
        kind = kind.value_type
    features = pa.array(
        np.ascontiguousarray(piece.features, dtype=kind.to_pandas_dtype()).reshape(-1)
    )
    for size in reversed(shape):
        features = pa.FixedSizeListArray.from_arrays(features, size)
    number = len(piece.times)
    columns: dict[str, Any] = {
        "video": pa.repeat(entry.video, number),
        "video_id": pa.repeat(entry.video_id, number),
        "frame": piece.frames,
        "pts_seconds": piece.times,
        "end_seconds": ends,
        "feature": features,
    }
    columns |= {
        name: pa.repeat(pa.scalar(value, pa.string()), number)
        for name, value in entry.labels.items()
    }
    return pa.Table.from_arrays([pa.array(columns[name]) for name in schema.names], schema=schema)


def relabelled(entry: Entry, names: Sequence[str], labels: Labels) -> Entry:
    """Return an entry with its labels; a video that is not given keeps those of ``names``."""
    given = labels.get(entry.video, entry.labels)
    return replace(entry, labels={name: given[name] for name in names if name in given})


def with_labels(
    table: pa.Table, schema: pa.Schema, entries: Sequence[Entry], owners: np.ndarray
) -> pa.Table:
    """Return rows of a part with the columns of ``schema``, and the labels of their entries.

    Args:
        table: the rows, with their labels of before.
        schema: the columns of the dataset.
        entries: those of the part. A label that an entry does not tell stays as it was.
        owners: int (rows,), the place of each row's entry.
    """
    columns = {name: table[name] for name in table.column_names}
    rows = pa.array(owners)
    for name in labels_in(schema):
        labels = pa.array([one.labels.get(name) for one in entries], pa.string()).take(rows)
        if name in columns:
            is_told = pa.array([name in one.labels for one in entries], pa.bool_()).take(rows)
            labels = pc.if_else(is_told, labels, columns[name])
        columns[name] = labels
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


class PartFile:
    """A part that is being written, to a local file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.num_rows, self.num_bytes = path, 0, 0
        self._schema = schema
        with writing(path, advice=ADVICE):
            self._file = path.open("wb")
            self._writer = pq.ParquetWriter(
                self._file, schema, use_dictionary=[*_TEXTS, *labels_in(schema)]
            )
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = self._waiting_rows = 0

    def append(self, table: pa.Table) -> None:
        """Add rows. Memory holds a row group."""
        self._waiting.append(table)
        self._waiting_bytes += table.nbytes
        self._waiting_rows += table.num_rows
        self.num_rows += table.num_rows
        self.num_bytes += table.nbytes
        if self._waiting_bytes >= _GROUP_BYTES or self._waiting_rows >= _MAX_GROUP_ROWS:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            with writing(self.path, advice=ADVICE):
                self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
            self._waiting.clear()
            self._waiting_bytes = self._waiting_rows = 0

    def close(self, entries: Sequence[Entry], *, worker: str, replaces: Sequence[str]) -> None:
        """Write the footer."""
        assert sum(entry.rows for entry in entries) == self.num_rows
        about = {
            "worker": worker,
            "replaces": list(replaces),
            "entries": [asdict(entry) for entry in entries],
        }
        packed = base64.b64encode(zlib.compress(json.dumps(about).encode()))
        self._write()
        with writing(self.path, advice=ADVICE):
            self._writer.add_key_value_metadata({_KEY: packed})
            self._writer.close()
            self._file.close()

    def discard(self) -> None:
        """Remove the file, after a failure."""
        try:
            self._writer.close()
            self._file.close()
        except OSError:
            pass  # a full disk; what is there is removed
        remove(self.path)


def read_part(name: str, file: Any, num_bytes: int, columns: pa.Schema) -> Part:
    """Read the footer of a part of a dataset with these columns, whose labels may be others.

    Raises:
        DataError: it is damaged, or no part of a dataset, or one of another dataset.
        FileNotFoundError: it is gone.
    """
    try:
        opened = pq.ParquetFile(file)
        packed = (opened.metadata.metadata or {}).get(_KEY)
        if packed is None:
            raise DataError(
                f"{name} has the name of a part of a dataset, and vidmoco has not written it. Move "
                "it out of the folder, and give the command again."
            )
        about = json.loads(zlib.decompress(base64.b64decode(packed)))
        entries = tuple(
            Entry(**{**one, "damage": tuple(one["damage"])}) for one in about["entries"]
        )
        replaces, schema = frozenset(about["replaces"]), opened.schema_arrow
        part = Part(name, num_bytes, about["worker"], replaces, entries, schema)
    except FileNotFoundError:  # of a store, where opening a file reads nothing yet
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, zlib.error) as error:
        reason = reason_of(error)
        raise DataError(
            f"{name} cannot be read as a part of a dataset: {reason}. Delete it, and give the "
            "command that wrote it again."
        ) from error
    if _without_labels(schema) != _without_labels(columns):
        raise DataError(
            f"{name} is a part of another dataset: it has other features or columns. Move it out "
            "of the folder, and give the command again."
        )
    return part


def _without_labels(schema: pa.Schema) -> list[pa.Field]:
    return [schema.field(name) for name in schema.names if name not in labels_in(schema)]
