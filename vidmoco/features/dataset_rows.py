"""Read the rows of a dataset, video by video."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from vidmoco.errors import DataError, VidmocoError
from vidmoco.features.dataset import Dataset, Place
from vidmoco.features.dataset_settings import read_settings
from vidmoco.features.output_folder import output_folder
from vidmoco.shapes import Float64
from vidmoco.text import reason_of

_KEPT_GROUPS = 32  # 256 MiB; of so many processes that wrote at the same time


class DatasetRows:
    """The rows of a dataset.

    The row groups that were read last are kept: short videos share one, and each process that wrote
    to the dataset has its part of the videos that come next.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._starts: dict[str, list[int]] = {}
        self._features = lru_cache(_KEPT_GROUPS)(self._read_group)

    def times(self) -> dict[str, Float64[np.ndarray, " t"]]:
        """Return the times of the rows of each video, in seconds, by its name.

        Raises:
            DataError: a part is damaged.
        """
        by_part = {}
        for name in {place.part for places in self._dataset.places.values() for place in places}:
            with self._opened(name) as file:
                table = file.read(columns=["pts_seconds"])
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
            for group, (first, end) in enumerate(pairwise(self._group_starts(place.part))):
                if first < stop and end > start:
                    rows = self._features(place.part, group)
                    rows = rows[max(0, start - first) : min(end, stop) - first]
                    for begin in range(0, len(rows), at_once):
                        yield rows[begin : begin + at_once]

    def _group_starts(self, name: str) -> list[int]:
        """Return the first row of each row group of a part, and the number of its rows."""
        if name not in self._starts:
            with self._opened(name) as file:
                about = file.metadata
                sizes = [about.row_group(n).num_rows for n in range(about.num_row_groups)]
            self._starts[name] = np.cumsum([0, *sizes]).tolist()
        return self._starts[name]

    def _read_group(self, name: str, group: int) -> np.ndarray:
        with self._opened(name) as file:
            column = file.read_row_group(group, columns=["feature"])["feature"]
            flat = [one.flatten().to_numpy(zero_copy_only=False) for one in column.chunks]
            return np.concatenate(flat).reshape(-1, column.type.list_size)

    @contextmanager
    def _opened(self, name: str) -> Iterator[pq.ParquetFile]:
        try:
            with self._dataset.folder.open(name) as file, pq.ParquetFile(file) as opened:
                yield opened
        except (VidmocoError, MemoryError):
            raise
        except FileNotFoundError as error:
            raise DataError(
                f"{self._dataset.folder.name}/{name} is gone: a process that writes to the dataset "
                "has merged it with others. Give the command again."
            ) from error
        except Exception as error:  # Arrow and file systems raise several kinds
            reason = reason_of(error)
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
