"""Feature files: one row a frame, written in a stream, finished all at once.

    feats.npy              (T, D) features
    feats.timestamps.npy   (T,) float64 seconds from the first shown frame, row by row
    feats.json             what made them; written last, so that where it is the rest is whole

`.npz` and `.safetensors` hold arrays ``features`` and ``timestamps``; `.parquet` has a column
``pts_seconds`` and a list column ``feature``. Every file is written as ``.part``, flushed to disk
and renamed.
"""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.lib.format as npy_format

from vidmoco.atomic_file import flush_to_disk, remove, writing
from vidmoco.errors import ConfigError
from vidmoco.shapes import Float64

ROWS_PER_GROUP = 4096  # parquet rows converted at a time; measured: 8 MiB at 512 float32 features


class RowWriter:
    """Appends rows to a `.npy` file whose length is not known before the end.

    The header is written twice: first as a space holder of the size that the largest row count
    needs, then with the true shape.
    """

    def __init__(self, path: Path, *, row_shape: tuple[int, ...], dtype: str) -> None:
        self.path, self.row_shape, self.dtype = path, row_shape, np.dtype(dtype)
        self.num_rows = 0
        self._file: BinaryIO = path.open("wb")
        self._write_header(rows=2**62)
        self._header_size = self._file.tell()

    def _write_header(self, *, rows: int) -> None:
        header = {
            "descr": npy_format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (rows, *self.row_shape),
        }
        # numpy pads the header to 64 bytes and leaves room for the first axis to grow.
        npy_format.write_array_header_1_0(self._file, header)

    def append(self, rows: np.ndarray) -> None:
        """Write ``rows`` of shape (n, *row_shape), converted to the file's dtype."""
        assert rows.shape[1:] == self.row_shape
        self._file.write(np.ascontiguousarray(rows, dtype=self.dtype).tobytes())
        self.num_rows += len(rows)

    def close(self) -> None:
        """Write the true shape into the header and flush the file to disk."""
        self._file.seek(0)
        self._write_header(rows=self.num_rows)
        if self._file.tell() != self._header_size:
            raise AssertionError("the header changed its size")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Close and remove the file."""
        with suppress(OSError):  # to close is to write what is left, and the disk may be full
            self._file.close()
        remove(self.path)


class FeatureWriter:
    """Writes a feature file of any supported suffix, its timestamps and its sidecar.

    All methods raise ``ConfigError`` where it cannot be written. A file that was there before
    stays until all of the new one is on disk.
    """

    def __init__(self, path: Path, *, dim: int, dtype: str) -> None:
        require_known_suffix(path)
        self.path = path
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._features = RowWriter(
                _beside(path, ".features.part"), row_shape=(dim,), dtype=dtype
            )
            try:
                self._timestamps = RowWriter(
                    _beside(path, ".timestamps.part"), row_shape=(), dtype="float64"
                )
            except OSError:
                self._features.abandon()
                raise

    def _writing(self) -> AbstractContextManager[None]:
        return writing(
            self.path,
            advice=", then give the same command again (finished files are kept), or another -o.",
        )

    def append(self, features: np.ndarray, timestamps: Float64[np.ndarray, " t"]) -> None:
        """Add rows: ``features`` (t, D) and the pts of their frames in seconds."""
        with self._writing():
            self._features.append(features)
            self._timestamps.append(timestamps)

    def finish(self, sidecar: dict[str, Any]) -> int:
        """Put the files in place, the sidecar last, and return the number of rows."""
        with self._writing():
            self._features.close()
            self._timestamps.close()
            if self.path.suffix != ".npy":
                self._convert()
            self._sidecar_part.write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")
            flush_to_disk(self._sidecar_part)
            # All is on disk; from here on nothing needs room.
            sidecar_path(self.path).unlink(missing_ok=True)
            if self.path.suffix == ".npy":
                self._features.path.replace(self.path)
                self._timestamps.path.replace(timestamps_path(self.path))
            else:
                self._converted.replace(self.path)
            self._sidecar_part.replace(sidecar_path(self.path))
        self.discard()
        return self._features.num_rows

    def _convert(self) -> None:
        """Write the rows so far as the file type of the suffix."""
        features = np.load(self._features.path, mmap_mode="r")
        timestamps = np.load(self._timestamps.path)
        CONVERTERS[self.path.suffix](self._converted, features, timestamps)
        # safetensors' own file is nobody else's
        self._converted.chmod(self._features.path.stat().st_mode)
        flush_to_disk(self._converted)

    @property
    def _converted(self) -> Path:
        return _beside(self.path, ".part")

    @property
    def _sidecar_part(self) -> Path:
        return _beside(self.path, ".json.part")

    def discard(self) -> None:
        """Remove what is not finished."""
        for writer in (self._features, self._timestamps):
            writer.abandon()
        remove(self._converted)
        remove(self._sidecar_part)

    def __enter__(self) -> "FeatureWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.discard()


def sidecar_path(path: Path) -> Path:
    """Return where the JSON sidecar of a feature file is."""
    return path.with_suffix(".json")


def timestamps_path(path: Path) -> Path:
    """Return where the timestamps of a `.npy` feature file are."""
    return path.with_suffix(".timestamps.npy")


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """Return the sidecar of a finished feature file, or None where there is none to read."""
    try:
        found = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and path.is_file() else None


def require_known_suffix(path: Path) -> None:
    """Raise ``ConfigError`` for a file type that features are not written to."""
    if path.suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ConfigError(f"Cannot write features to {path}: expected a name that ends in {known}.")


def twins_of(path: Path) -> list[Path]:
    """Return the feature files beside ``path`` that differ from it in their suffix alone."""
    twins = (path.with_suffix(suffix) for suffix in SUFFIXES if suffix != path.suffix)
    return [twin for twin in twins if twin.is_file()]


def require_own_sidecar(path: Path) -> None:
    """Raise ``ConfigError`` if features of another file type would have the same sidecar."""
    for twin in twins_of(path):
        if sidecar_path(path).is_file():
            raise ConfigError(
                f"{path} would share its sidecar {sidecar_path(path)} with {twin}, and it speaks "
                "for one of them. Give another -o, or remove that file."
            )


def _save_npz(path: Path, features: np.ndarray, timestamps: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez(file, features=features, timestamps=timestamps)


def _save_safetensors(path: Path, features: np.ndarray, timestamps: np.ndarray) -> None:
    from safetensors.numpy import save_file

    save_file({"features": np.ascontiguousarray(features), "timestamps": timestamps}, path)


def _save_parquet(path: Path, features: np.ndarray, timestamps: np.ndarray) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    dim = features.shape[1]
    kind = pa.list_(pa.from_numpy_dtype(features.dtype), dim)
    schema = pa.schema([("pts_seconds", pa.float64()), ("feature", kind)])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(features), ROWS_PER_GROUP):
            rows = np.ascontiguousarray(features[start : start + ROWS_PER_GROUP])
            column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), dim)
            times = pa.array(timestamps[start : start + ROWS_PER_GROUP])
            writer.write_table(pa.Table.from_arrays([times, column], schema=schema))


CONVERTERS: dict[str, Callable[[Path, np.ndarray, np.ndarray], None]] = {
    ".npz": _save_npz,
    ".safetensors": _save_safetensors,
    ".parquet": _save_parquet,
}
SUFFIXES = (".npy", *CONVERTERS)
"""What features are written to, by file type."""


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
