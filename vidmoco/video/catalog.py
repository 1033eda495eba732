"""The catalog: a table with one row per video, in Arrow memory and in a Parquet file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vidmoco.atomic_file import atomic_write
from vidmoco.errors import ConfigError
from vidmoco.shapes import Float32
from vidmoco.video.info import VideoInfo

# Increased when columns, probe or routing rule change. Older catalogs are then scanned again.
FORMAT_VERSION = "3"
_VERSION_KEY = b"vidmoco.catalog"
_TYPES = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
}
SCHEMA = pa.schema(
    [(name, _TYPES.get(kind, pa.string())) for name, kind in get_type_hints(VideoInfo).items()],
    metadata={_VERSION_KEY: FORMAT_VERSION.encode()},
)
_ROWS_AT_ONCE = 4096


def is_catalog(path: Path) -> bool:
    """Return whether a file is a catalog, of any version."""
    try:
        return _VERSION_KEY in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


class Catalog:
    """The rows of many videos, sorted by root and key."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.combine_chunks()

    @classmethod
    def from_rows(cls, rows: Iterable[VideoInfo]) -> "Catalog":
        """Return the catalog of some videos."""
        table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
        return cls(_sorted(table))

    @classmethod
    def merge(cls, catalogs: Sequence["Catalog"]) -> "Catalog":
        """Return the rows of several catalogs. If a file has several rows, the first is kept."""
        table = pa.concat_tables([SCHEMA.empty_table(), *(c._table for c in catalogs)])
        seen: set[str] = set()
        keep = []
        for root, key in zip(table["root"].to_pylist(), table["key"].to_pylist(), strict=True):
            path = f"{root}/{key}"  # a file may be below two roots
            keep.append(path not in seen)
            seen.add(path)
        return cls(_sorted(table.filter(pa.array(keep, pa.bool_()))))

    @classmethod
    def load(cls, path: Path, *, older: bool = False) -> "Catalog":
        """Read a catalog that ``save`` wrote.

        Args:
            path: its file.
            older: also take one of an earlier version, for a run that began with it.

        Raises:
            ConfigError: the file does not exist, or is not a catalog of this version.
        """
        try:
            # ParquetFile, because read_table takes a path with "=" for a partition.
            with pq.ParquetFile(path) as file:
                table = file.read()
        except FileNotFoundError as error:
            raise ConfigError(f"No such catalog: {path}.") from error
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(f"{path} cannot be read as a catalog of videos: {reason}") from error
        version = (table.schema.metadata or {}).get(_VERSION_KEY)
        if version is None:
            raise ConfigError(
                f"{path} is a Parquet file, but not a catalog of videos. `vidmoco scan` writes one."
            )
        if older:
            table = _with_new_columns(table)
        elif version != FORMAT_VERSION.encode():
            table = None
        if table is None or table.schema != SCHEMA:
            raise ConfigError(
                f"{path} is a catalog of another version of vidmoco. Scan the videos again."
            )
        outside = pc.match_substring_regex(table["key"], r"^/|(^|/)\.\.(/|$)")
        if pc.any(outside).as_py():
            raise ConfigError(f"{path} names files outside of its folders, and is not used.")
        return cls(table)

    def save(self, path: Path) -> None:
        """Write the catalog as Parquet, whole or not at all.

        Raises:
            ConfigError: it cannot be written.
        """
        with atomic_write(path) as part:
            pq.write_table(self._table, part)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: int) -> VideoInfo:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{index = } of a catalog of {len(self)} videos")
        table = self._table
        return VideoInfo(**{name: table[name][index].as_py() for name in table.column_names})

    def rows(self) -> Iterator[VideoInfo]:
        """Yield every row."""
        for start in range(0, len(self), _ROWS_AT_ONCE):
            for row in self._table.slice(start, _ROWS_AT_ONCE).to_pylist():
                yield VideoInfo(**row)

    def column(self, name: str) -> np.ndarray:
        """Return one field of all rows. Strings are an array of objects."""
        return self._table[name].to_numpy()  # type: ignore[no-any-return]

    def aspect_ratios(self) -> Float32[np.ndarray, " n"]:
        """Return the displayed width / height of all videos, or 1 for a video without a size."""
        width, height, pixel_aspect = (
            self.column(name) for name in ("width", "height", "sample_aspect_ratio")
        )
        return np.where(height > 0, width * pixel_aspect / height.clip(1), 1.0).astype(np.float32)

    def take(self, indices: Sequence[int]) -> "Catalog":
        """Return some rows, in the order of ``indices``."""
        return Catalog(self._table.take(pa.array(indices, pa.int64())))

    def updated(self, rows: Iterable[VideoInfo]) -> "Catalog":
        """Return the catalog with these rows replaced or added."""
        return Catalog.merge([Catalog.from_rows(rows), self])

    def replaced(self, rows: Mapping[int, VideoInfo]) -> "Catalog":
        """Return the catalog with other rows at some indexes, in the same order."""
        if not rows:
            return self
        all_ = [asdict(rows.get(index, row)) for index, row in enumerate(self.rows())]
        return Catalog(pa.Table.from_pylist(all_, schema=SCHEMA))

    def readable(self) -> "Catalog":
        """Return the rows that are not refused."""
        return Catalog(self._table.filter(pc.not_equal(self._table["route"], "refused")))

    def refused(self) -> "Catalog":
        """Return the refused rows. Each has a reason."""
        return Catalog(self._table.filter(pc.equal(self._table["route"], "refused")))


def _with_new_columns(table: pa.Table) -> pa.Table | None:
    """Return a table of an earlier version with the defaults of the columns that it lacks."""
    defaults = {field.name: field.default for field in fields(VideoInfo)}
    columns = []
    for field in SCHEMA:
        if field.name in table.column_names:
            columns.append(table[field.name])
        elif defaults[field.name] is MISSING:
            return None
        else:
            columns.append(pa.repeat(pa.scalar(defaults[field.name], field.type), len(table)))
    try:
        return pa.Table.from_arrays(columns, schema=SCHEMA)
    except (pa.ArrowException, TypeError):
        return None


def _sorted(table: pa.Table) -> pa.Table:
    return table.sort_by([("root", "ascending"), ("key", "ascending")])
