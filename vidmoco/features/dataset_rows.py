"""Read the rows of a dataset, video by video."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from vidmoco.errors import DataError
from vidmoco.features.dataset import Dataset, Place, read_settings
from vidmoco.features.output_folder import output_folder
from vidmoco.shapes import Float64


class DatasetRows:
    """The rows of a dataset. The row group that was read last is kept: short videos share one."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._file: tuple[str, pq.ParquetFile] | None = None
        self._group: tuple[str, int, np.ndarray] | None = None

    def times(self) -> dict[str, Float64[np.ndarray, " t"]]:
        """Return the times of the rows of each video, in seconds, by its name.

        Raises:
            DataError: a part is damaged.
        """
        by_part = {}
        for name in {place.part for places in self._dataset.places.values() for place in places}:
            with self._said(name):
                table = self._opened(name).read(columns=["pts_seconds"])
                by_part[name] = table["pts_seconds"].to_numpy()
                if len(by_part[name]) != self._dataset.parts[name].starts[-1]:
                    raise ValueError("its rows are not those of its footer")
        found = {}
        for video, places in self._dataset.places.items():
            pieces = [by_part[p.part][p.start : p.start + p.entry.rows] for p in places]
            found[video] = times = np.concatenate(pieces)
            if not np.isfinite(times).all() or (np.diff(times) < 0).any():
                raise DataError(f"The times of {video!r} are not finite or decrease.")
        return found

    def rows(self, places: Sequence[Place], at_once: int) -> Iterator[np.ndarray]:
        """Yield the features of a video in order, in pieces (p, D) of at most ``at_once`` rows.

        Raises:
            DataError: a part is damaged.
        """
        for place in places:
            start, stop = place.start, place.start + place.entry.rows
            first = 0
            for group in range(self._opened(place.part).num_row_groups):
                end = first + self._opened(place.part).metadata.row_group(group).num_rows
                if first < stop and end > start:
                    rows = self._features(place.part, group)
                    rows = rows[max(0, start - first) : min(end, stop) - first]
                    for begin in range(0, len(rows), at_once):
                        yield rows[begin : begin + at_once]
                first = end

    def _features(self, name: str, group: int) -> np.ndarray:
        if self._group is None or self._group[:2] != (name, group):
            with self._said(name):
                column = self._opened(name).read_row_group(group, columns=["feature"])["feature"]
                flat = [one.flatten().to_numpy(zero_copy_only=False) for one in column.chunks]
                numbers = np.concatenate(flat).reshape(-1, column.type.list_size)
            self._group = (name, group, numbers)
        return self._group[2]

    def _opened(self, name: str) -> pq.ParquetFile:
        if self._file is None or self._file[0] != name:
            with self._said(name):
                self._file = name, pq.ParquetFile(self._dataset.folder.open(name))
        return self._file[1]

    @contextmanager
    def _said(self, name: str) -> Iterator[None]:
        try:
            yield
        except (DataError, MemoryError):
            raise
        except Exception as error:  # Arrow and file systems raise several kinds
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"{self._dataset.folder.name}/{name} cannot be read as features: {reason}. Delete "
                "it, and give the command that wrote it again."
            ) from error


def open_dataset(place: Path) -> Dataset | None:
    """Return the dataset in a folder or at a URL, or None if there is none.

    Raises:
        ConfigError: it cannot be read.
        DataError: a part is damaged.
    """
    folder = output_folder(place)
    settings = read_settings(folder)
    return None if settings is None else Dataset(folder, settings)
