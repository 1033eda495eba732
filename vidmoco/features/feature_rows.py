"""Read feature files in one pass, without all rows in memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy_format
import pyarrow.parquet as pq

from vidmoco.errors import ConfigError, DataError
from vidmoco.features.feature_file import timestamps_path
from vidmoco.shapes import Float32, Float64, Int64
from vidmoco.text import reason_of


@dataclass(frozen=True)
class Extent:
    """Shape and timestamps of a file, read without its features."""

    num_rows: int
    dim: int
    times: Float64[np.ndarray, " t"]


def read_extent(path: Path) -> Extent:
    """Return the shape of a file's features, and its timestamps.

    Raises:
        DataError: the file cannot be read as features, or rows and times do not match.
    """
    with _readable(path):
        (num_rows, dim), times = _READERS[path.suffix].extent(path)
        if num_rows < 1 or dim < 1:
            raise ValueError(f"it holds {num_rows} features of {dim} numbers")
        if times.dtype != np.float64 or times.shape != (num_rows,):
            raise ValueError(
                f"it has {num_rows} features, and timestamps {times.dtype} {times.shape}"
            )
        if not np.isfinite(times).all() or (np.diff(times) < 0).any():
            raise ValueError("its timestamps are not finite or decrease")
    return Extent(num_rows, dim, times)


def read_rows(path: Path, *, at_once: int) -> Iterator[np.ndarray]:
    """Yield the features of a file in order, in pieces (p, D) of at most ``at_once`` rows.

    Raises:
        DataError: the file cannot be read.
    """
    with _readable(path):
        for rows in _READERS[path.suffix].rows(path, at_once):
            if not np.issubdtype(rows.dtype, np.floating):
                raise ValueError(f"its features are {rows.dtype}, not floating point")
            yield rows


def unit_rows(rows: np.ndarray, *, place: str, first: int = 0) -> Float32[np.ndarray, "p d"]:
    """Return features (p, D) divided by their lengths.

    Raises:
        DataError: a feature is not finite. ``place`` names the file, and ``first`` is the number
            of the first row in it.
    """
    # float64 lengths: squares of float16 and of large float32 features overflow.
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    bad = np.flatnonzero(~np.isfinite(lengths))
    if len(bad):
        raise DataError(
            f"{place}: feature {first + int(bad[0])} is not finite. Extract it again with a "
            "backbone that is not damaged, and without --precision bf16 or --dtype float16."
        )
    unit = rows / np.maximum(lengths, np.finfo(np.float64).tiny)[:, None]
    return np.asarray(unit, dtype=np.float32)


def picked(given: Any, count: int, what: str) -> Int64[np.ndarray, "..."]:
    """Return the numbers of what is picked from an axis, as NumPy picks.

    Args:
        given: a number, a list or an array of them, a mask, or a slice. Negative numbers count from
            the end.
        count: the length of the axis.
        what: what the axis is of, for the error.

    Raises:
        ConfigError: it is something else, a number is out of range, or a mask of another length.
    """
    if isinstance(given, tuple | range):  # a tuple would be one number for each axis
        given = list(given)
    try:
        if isinstance(given, int | np.integer) and not isinstance(given, bool):
            # Many rows are asked for one by one, so no list of all is made.
            if not -count <= given < count:
                raise IndexError(f"number {given} is out of bounds")
            return np.asarray(given % count, dtype=np.int64)
        return np.asarray(np.arange(count, dtype=np.int64)[given])
    except (IndexError, TypeError, ValueError) as error:
        raise ConfigError(
            f"There are {count} {what}s, and no such: {reason_of(error)}. Give numbers from "
            f"-{count} to {count - 1}, a mask of {count}, or a slice."
        ) from error


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the libraries' errors about a damaged file into one line that names it."""
    try:
        yield
    except (DataError, MemoryError, GeneratorExit):
        raise
    except Exception as error:  # NumPy and Arrow raise several kinds
        reason = reason_of(error)
        raise DataError(
            f"{path} cannot be read as features: {reason}. Extract them again (--overwrite)."
        ) from error


def _mapped(path: Path) -> np.ndarray:
    """Return a `.npy` file as a read-only map; one that is damaged or too short is an error."""
    return npy_format.open_memmap(path, mode="r")


def _npy_extent(path: Path) -> tuple[Any, np.ndarray]:
    shape = _mapped(path).shape
    if len(shape) != 2:
        raise ValueError(f"its features have the shape {shape}, expected (frames, D)")
    return shape, _mapped(timestamps_path(path))


def _npy_rows(path: Path, at_once: int) -> Iterator[np.ndarray]:
    features = _mapped(path)
    for start in range(0, len(features), at_once):
        yield features[start : start + at_once]


def _parquet_extent(path: Path) -> tuple[Any, np.ndarray]:
    with pq.ParquetFile(path) as file:
        dim = file.schema_arrow.field("feature").type.list_size
        times = file.read(columns=["pts_seconds"])["pts_seconds"].to_numpy()
        return (file.metadata.num_rows, dim), times


def _parquet_rows(path: Path, at_once: int) -> Iterator[np.ndarray]:
    with pq.ParquetFile(path) as file:
        dim = file.schema_arrow.field("feature").type.list_size
        for batch in file.iter_batches(batch_size=at_once, columns=["feature"]):
            yield batch["feature"].flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)


@dataclass(frozen=True)
class _Reader:
    extent: Callable[[Path], tuple[Any, np.ndarray]]
    rows: Callable[[Path, int], Iterator[np.ndarray]]


_READERS = {
    ".npy": _Reader(_npy_extent, _npy_rows),
    ".parquet": _Reader(_parquet_extent, _parquet_rows),
}
