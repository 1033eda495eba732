"""Feature files: one row per frame, written as a stream and renamed when complete.

    feats.npy              (T, D) features, or (T, P, D) patch tokens
    feats.timestamps.npy   (T,) float64 seconds from the first shown frame
    feats.json             sidecar: what made them. It is written last, so it marks a complete file

`.parquet` has a column ``pts_seconds`` and a list column ``feature`` instead of the first two.
"""

import glob
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedWriter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.lib.format as npy_format
import pyarrow as pa
import pyarrow.parquet as pq

from vidmoco.atomic_file import atomic_write, flush_to_disk
from vidmoco.errors import ConfigError
from vidmoco.json_text import read_json
from vidmoco.lock import alone_in, open_locked, remove_unlocked
from vidmoco.shapes import Float32, Float64, Int64

SUFFIXES = (".npy", ".parquet")
"""File types of feature files."""
ROWS_PER_GROUP = 4096  # of Parquet; measured: 8 MiB for 512 float32 features
_PATIENCE = 60.0  # seconds; who looks at a temporary file holds its lock for a moment
_ADVICE = ", then give the same command again (finished files are kept), or another -o."


class Piece(NamedTuple):
    """Some rows of a video."""

    features: Float32[np.ndarray, "t *d"]
    times: Float64[np.ndarray, " t"]
    """Seconds from the first shown frame."""
    frames: Int64[np.ndarray, " t"]
    """Numbers of the frames in display order, from 0 on, lost frames counted, if they were asked
    for. Of a pooled row there is none, and it is -1."""


class RowWriter:
    """Appends rows to a `.npy` file whose length is unknown until the end.

    The header is written twice: first as a placeholder with the largest row count, then with the
    true shape.
    """

    def __init__(self, file: BinaryIO, *, row_shape: tuple[int, ...], dtype: str) -> None:
        self._file, self._row_shape, self._dtype = file, row_shape, np.dtype(dtype)
        self._num_rows = 0
        self._write_header(rows=2**62)
        self._header_size = file.tell()

    def _write_header(self, *, rows: int) -> None:
        header = {
            "descr": npy_format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (rows, *self._row_shape),
        }
        # numpy pads the header to 64 bytes and leaves room for the first axis to grow.
        npy_format.write_array_header_1_0(self._file, header)

    def append(self, rows: np.ndarray) -> None:
        """Write ``rows`` of shape (n, *row_shape), converted to the file's dtype."""
        assert rows.shape[1:] == self._row_shape
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).tobytes())
        self._num_rows += len(rows)

    def close(self) -> None:
        """Write the true shape into the header, and close the file."""
        self._file.seek(0)
        self._write_header(rows=self._num_rows)
        if self._file.tell() != self._header_size:
            raise AssertionError("the size of the header changed")
        self._file.close()


class _NpyFiles:
    """Writes features and their times to a `.npy` file each."""

    def __init__(
        self, features: BinaryIO, times: BinaryIO, *, row_shape: tuple[int, ...], dtype: str
    ) -> None:
        self._features = RowWriter(features, row_shape=row_shape, dtype=dtype)
        self._times = RowWriter(times, row_shape=(), dtype="float64")

    def append(self, features: np.ndarray, times: np.ndarray) -> None:
        self._features.append(features)
        self._times.append(times)

    def close(self) -> None:
        self._features.close()
        self._times.close()


class _ParquetFile:
    """Writes features and their times to a Parquet file, in groups of ``ROWS_PER_GROUP``."""

    def __init__(self, file: BinaryIO, *, row_shape: tuple[int, ...], dtype: str) -> None:
        self._file, self._row_shape, self._dtype = file, row_shape, np.dtype(dtype)
        kind = pa.from_numpy_dtype(self._dtype)
        for size in reversed(row_shape):  # lists of lists for patch tokens
            kind = pa.list_(kind, size)
        self._schema = pa.schema([("pts_seconds", pa.float64()), ("feature", kind)])
        self._writer = pq.ParquetWriter(file, self._schema)
        self._waiting: list[pa.Table] = []
        self._rows_per_group = max(1, ROWS_PER_GROUP // math.prod(row_shape[:-1]))

    def append(self, features: np.ndarray, times: np.ndarray) -> None:
        rows = pa.array(np.ascontiguousarray(features, dtype=self._dtype).reshape(-1))
        for size in reversed(self._row_shape):
            rows = pa.FixedSizeListArray.from_arrays(rows, size)
        columns = [pa.array(times), rows]
        self._waiting.append(pa.Table.from_arrays(columns, schema=self._schema))
        if sum(map(len, self._waiting)) >= self._rows_per_group:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
            self._waiting.clear()

    def close(self) -> None:
        self._write()
        self._writer.close()
        self._file.close()

    def discard(self) -> None:
        """Let go of a file that is not closed; else Arrow writes its end when it is closed."""
        with suppress(OSError, ValueError):  # a full disk
            self._writer.close()
        self._writer.is_open = False


class FeatureWriter:
    """Takes the rows of a feature file, and finally its sidecar."""

    def __init__(
        self, parts: Sequence[Path], sidecar: BinaryIO, rows: _NpyFiles | _ParquetFile
    ) -> None:
        self._parts, self._sidecar, self._rows = parts, sidecar, rows
        self.num_rows, self.is_finished = 0, False

    def append(self, features: np.ndarray, timestamps: Float64[np.ndarray, " t"]) -> None:
        """Add rows: ``features`` (t, D) or (t, P, D), and the pts of their frames in seconds."""
        self._rows.append(features, timestamps)
        self.num_rows += len(features)

    def finish(self, sidecar: dict[str, Any]) -> int:
        """Write everything to the disk and return the number of rows."""
        self._rows.close()
        with self._sidecar:
            self._sidecar.write((json.dumps(sidecar, indent=2) + "\n").encode())
        for part in self._parts:
            flush_to_disk(part)
        self.is_finished = True
        return self.num_rows


@contextmanager
def feature_writer(
    path: Path, *, dim: int, dtype: str, num_patches: int = 0
) -> Iterator[FeatureWriter]:
    """Yield a writer of a feature file, its timestamps and its sidecar; call ``finish`` on it.

    An old file stays until the new one is complete, and remains if the block fails. Temporary
    files of killed processes are removed; those of one that writes the same file now are locked. Of
    two, the file of the one that finishes last remains.

    Args:
        path: ends in one of ``SUFFIXES``.
        dim: D of the features.
        dtype: of the features in the file.
        num_patches: P of patch tokens (T, P, D), or 0 for features (T, D).

    Raises:
        ConfigError: the suffix is unknown, or a file cannot be written.
    """
    require_known_suffix(path)
    row_shape = (num_patches, dim) if num_patches else (dim,)
    files = [sidecar_path(path), *([timestamps_path(path)] if path.suffix == ".npy" else []), path]
    for file in files:
        remove_unlocked(file.parent, glob.escape(file.name))
    with ExitStack() as locks, ExitStack() as stack:
        # Contexts end in reverse order, so the sidecar is renamed last.
        parts = [stack.enter_context(atomic_write(file, advice=_ADVICE)) for file in files]
        sidecar, *opened, features = [stack.enter_context(_open(part, locks)) for part in parts]
        rows = (
            _NpyFiles(features, opened[0], row_shape=row_shape, dtype=dtype)
            if opened
            else _ParquetFile(features, row_shape=row_shape, dtype=dtype)
        )
        if isinstance(rows, _ParquetFile):
            stack.callback(rows.discard)
        writer = FeatureWriter(parts, sidecar, rows)
        yield writer
        if not writer.is_finished:
            raise AssertionError("the block ended without finish()")
        # Everything is on the disk; the renames need no more room. Those of two processes would mix
        # the features of one with the sidecar of the other.
        locks.enter_context(alone_in(path.parent))
        sidecar_path(path).unlink(missing_ok=True)


def _open(part: Path, locks: ExitStack) -> BinaryIO:
    """Open a temporary file, which is locked until ``locks`` ends: after it has its name."""
    file, _ = open_locked(part, _PATIENCE)
    locks.callback(os.close, os.dup(file.fileno()))
    return BufferedWriter(file)


def sidecar_path(path: Path) -> Path:
    """Return the path of a feature file's JSON sidecar."""
    return path.with_suffix(".json")


def timestamps_path(path: Path) -> Path:
    """Return the path of a `.npy` feature file's timestamps."""
    return path.with_suffix(".timestamps.npy")


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """Return the sidecar of a finished feature file, or None if it cannot be read."""
    try:
        found = read_json(sidecar_path(path))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and path.is_file() else None


def require_known_suffix(path: Path) -> None:
    """Raise ``ConfigError`` if features cannot be written to this file type."""
    if path.suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ConfigError(f"Cannot write features to {path}: expected a name that ends in {known}.")


def siblings_of(path: Path) -> list[Path]:
    """Return the feature files beside ``path`` that differ from it only in their suffix."""
    siblings = (path.with_suffix(suffix) for suffix in SUFFIXES if suffix != path.suffix)
    return [sibling for sibling in siblings if os.path.isfile(sibling)]  # noqa: PTH113


def _is_sidecar_of(path: Path) -> bool:
    """Return whether the sidecar of a feature file is one, or missing, or damaged."""
    try:
        found = read_json(sidecar_path(path))
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return os.path.isfile(path)  # noqa: PTH113
    return isinstance(found, dict) and "weights_hash" in found


def require_own_files(path: Path, *, overwrites: bool = False) -> None:
    """Raise ``ConfigError`` if features would replace a file that is none of this program's.

    Its own have a sidecar, unless the process was killed while it gave them their names. Then the
    temporary sidecar is still there. With ``overwrites`` only sidecars are looked at.
    """
    require_own_sidecar(path)
    sidecar = sidecar_path(path)
    if overwrites or sidecar.exists() or any(path.parent.glob(f"{glob.escape(sidecar.name)}.*")):
        return
    for file in (path, *([timestamps_path(path)] if path.suffix == ".npy" else [])):
        if file.exists():
            raise ConfigError(
                f"{file} is there without the sidecar {sidecar.name}, so vidmoco may not have "
                "made it. Give another -o, move that file, or give --overwrite."
            )


def require_own_sidecar(path: Path) -> None:
    """Raise ``ConfigError`` if another feature file has the same sidecar, or its name is taken.

    JSON files beside videos are often their labels.
    """
    if not _is_sidecar_of(path):
        raise ConfigError(
            f"{path} would get the sidecar {sidecar_path(path)}, but that is a file of something "
            "else. Give another -o, or move that file."
        )
    for sibling in siblings_of(path):
        if os.path.isfile(sidecar_path(path)):  # noqa: PTH113
            raise ConfigError(
                f"{path} would share its sidecar {sidecar_path(path)} with {sibling}, but a "
                "sidecar describes one file. Give another -o, or remove that file."
            )
