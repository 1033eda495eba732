"""Feature sets: one feature file, or all that ``vidmoco extract`` wrote to a folder.

Rows are numbered across all files, which are sorted by video and then by path. Features are read
in one pass, a piece at a time, so a million frames need little memory.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from vidmoco.errors import ConfigError, DataError
from vidmoco.features.dataset import Dataset
from vidmoco.features.dataset_rows import DatasetRows, open_dataset
from vidmoco.features.dataset_settings import is_dataset
from vidmoco.features.feature_file import SUFFIXES, read_sidecar, siblings_of
from vidmoco.features.feature_rows import picked, read_extent, read_rows, unit_rows
from vidmoco.features.kept_settings import describe_backbone, require_frames
from vidmoco.features.output_folder import output_folder
from vidmoco.shapes import Float32, Float64, Int64
from vidmoco.text import counted
from vidmoco.urls import absolute, expanded, is_url, url_of

ROWS_AT_ONCE = 8192  # assumption: 64 MiB of 2,048 float32 numbers per row, enough for BLAS


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """The features of a video: a feature file with its sidecar, or rows of a dataset."""

    path: Path
    """The file, or the dataset."""
    name: str
    """Path of the video below the folder that all videos share. It may come from a stranger."""
    source: Path
    """The video, which may no longer exist."""
    times: Float64[np.ndarray, " t"]
    """Seconds from the first shown frame of each row; never decreasing."""
    dim: int
    sidecar: dict[str, Any]
    rows: Callable[[int], Iterator[np.ndarray]]
    """Yields the features in order, in pieces (p, D) of at most so many rows."""


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of one backbone, opened by ``open_features``."""

    files: list[FeatureFile]
    folder: Path
    """The folder that all videos share."""
    left_out: list[str]
    """A line for each file that looks like features but is not finished."""

    def __repr__(self) -> str:
        """Return what a notebook shows: how much it is, and where the videos are."""
        files = counted(len(self.files), "file")
        return f"<FeatureSet of {files}, {self.num_rows:,} x {self.dim}, videos in {self.folder}>"

    @property
    def dim(self) -> int:
        """D, the dimension of a feature."""
        return self.files[0].dim

    @property
    def num_rows(self) -> int:
        """Number of frames in all files."""
        return int(self.starts[-1])

    @cached_property
    def starts(self) -> Int64[np.ndarray, " files_and_one"]:
        """The first row of each file, and the total number of rows."""
        return np.cumsum([0] + [len(file.times) for file in self.files], dtype=np.int64)

    @cached_property
    def times(self) -> Float64[np.ndarray, " n"]:
        """Seconds from the first shown frame of the video, for each row."""
        return np.concatenate([file.times for file in self.files])

    @cached_property
    def video_of_file(self) -> Int64[np.ndarray, " files"]:
        """The video number of each file; several files may be of one video."""
        sources = [file.source for file in self.files]
        numbers = {source: n for n, source in enumerate(dict.fromkeys(sources))}
        return np.array([numbers[source] for source in sources], dtype=np.int64)

    @cached_property
    def videos(self) -> Int64[np.ndarray, " n"]:
        """The video number of each row."""
        return np.repeat(self.video_of_file, np.diff(self.starts))

    def file_of(self, row: int) -> FeatureFile:
        """Return the file that holds a row; a negative one counts from the end."""
        number = picked(row, self.num_rows, "row")
        return self.files[int(np.searchsorted(self.starts, number, side="right")) - 1]

    def name_of(self, row: int) -> str:
        """Return the name of a row's video; it is not escaped."""
        return self.file_of(row).name

    def pieces(
        self, files: slice = slice(None)
    ) -> Iterator[tuple[int, Float32[np.ndarray, "p d"]]]:
        """Yield (first row, features of unit length) of ``files``; a piece is of one file.

        A feature of zeros stays zero: it resembles nothing, not even itself.

        Raises:
            DataError: a file is damaged, or a feature is not finite.
        """
        for number in range(len(self.files))[files]:
            file, start = self.files[number], int(self.starts[number])
            row = start
            for rows in file.rows(ROWS_AT_ONCE):
                yield row, unit_rows(rows, place=str(file.path), first=row - start)
                row += len(rows)
            if row - start != len(file.times):
                raise DataError(f"{file.path} ends early: {row - start} of {len(file.times)} rows.")

    def of_file(self, number: int) -> Float32[np.ndarray, "t d"]:
        """Return all features of one file, of unit length; a negative number is from the end."""
        number = int(picked(number, len(self.files), "file"))
        return np.concatenate([rows for _, rows in self.pieces(slice(number, number + 1))])

    def take(self, rows: Any) -> Float32[np.ndarray, "*m d"]:
        """Return the features of some rows, of unit length, in their order.

        Args:
            rows: What picks from an axis of NumPy: numbers, of which negative ones count from the
                end, a mask of all rows, or a slice.

        Raises:
            ConfigError: it is something else, or there is no such row.
            DataError: a file is damaged, or a feature is not finite.
        """
        asked = picked(rows, self.num_rows, "row")
        numbers = asked.reshape(-1)
        taken = np.zeros((len(numbers), self.dim), dtype=np.float32)
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        owners = np.unique(np.searchsorted(self.starts, numbers, side="right") - 1)
        for owner in owners.tolist():
            for first, piece in self.pieces(slice(owner, owner + 1)):
                here = slice(*np.searchsorted(ordered, [first, first + len(piece)]))
                taken[order[here]] = piece[ordered[here] - first]
        return taken.reshape(*asked.shape, self.dim)

    def evenly(self, most: int) -> Int64[np.ndarray, " m"]:
        """Return all rows, or ``most`` rows at even distances, including the first and last."""
        count = min(most, self.num_rows)
        return np.linspace(0, self.num_rows - 1, count).round().astype(np.int64)


def open_features(path: str | os.PathLike[str]) -> FeatureSet:
    """Open a dataset, a feature file, or all feature files of a folder and its subfolders.

        features = vidmoco.open_features("feats/")
        features.take(features.evenly(1000))  # float32 (1000, D), of unit length

    Only times are read at once; ``pieces``, ``take`` and ``of_file`` read features, also after the
    current folder has changed.

    Raises:
        ConfigError: ``path`` does not exist, has no features, or has those of several backbones.
        DataError: a file is damaged.
    """
    path = expanded(Path(path))
    if is_url(path) or path.is_dir():
        dataset = open_dataset(absolute(path))
        if dataset is not None:
            return _of_dataset(path, dataset)
    if path.is_dir():
        candidates = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
        candidates = [p for p in candidates if not p.name.endswith(".timestamps.npy")]
    elif path.is_file():
        if path.suffix not in SUFFIXES or path.name.endswith(".timestamps.npy"):
            raise ConfigError(
                f"{path} is not a feature file: expected one that `vidmoco extract` wrote, whose "
                f"name ends in {' or '.join(SUFFIXES)}."
            )
        candidates = [path]
    else:
        _refuse_inside_of_dataset(path, [path])
        raise ConfigError(f"There is nothing at {url_of(path)}. {_advice(path)}")
    found, left_out = [], []
    for candidate in candidates:
        sidecar = read_sidecar(candidate)
        if sidecar is None or not _is_ours(sidecar):
            left_out.append(f"{candidate}: has no sidecar of vidmoco extract; is it unfinished?")
        else:
            found.append((candidate, sidecar))
    if not found:
        _refuse_inside_of_dataset(path, candidates)
        more = f" {left_out[0]}" if left_out else ""
        raise ConfigError(f"There are no features in {path}.{more} {_advice(path)}")
    for candidate, sidecar in found:
        require_frames(candidate, sidecar)
    named = [candidate for candidate, _ in found]
    if path.is_file():
        named += siblings_of(path)
    _require_one_sidecar_each(named)
    _require_one_backbone(path, found)
    sources = [Path(sidecar["source"]) for _, sidecar in found]
    folder = _folder_of(sources)
    files = []
    for (candidate, sidecar), source in zip(found, sources, strict=True):
        extent = read_extent(candidate)
        name = url_of(source) if is_url(source) else source.relative_to(folder).as_posix()
        rows = partial(_rows_of_file, candidate.absolute())
        files.append(FeatureFile(candidate, name, source, extent.times, extent.dim, sidecar, rows))
    if len({file.dim for file in files}) > 1:
        raise DataError(f"The features in {path} are of different sizes. Extract them again.")
    files.sort(key=lambda file: (str(file.source), str(file.path)))
    return FeatureSet(files, folder, left_out)


def _advice(path: Path) -> str:
    return f"Make some: vidmoco extract videos/ -o {url_of(path)}"


def _refuse_inside_of_dataset(path: Path, files: Sequence[Path]) -> None:
    """Name the dataset that is meant, if ``path`` is a part of one, or a folder above one."""
    folders = dict.fromkeys(folder for file in files for folder in list(file.parents)[:2])
    if found := [url_of(folder) for folder in folders if is_dataset(output_folder(folder))]:
        raise ConfigError(
            f"{url_of(path)} is not the folder of a dataset. Give that: {' or '.join(found[:3])}"
        )


def _rows_of_file(path: Path, at_once: int) -> Iterator[np.ndarray]:
    return read_rows(path, at_once=at_once)


def _folder_of(sources: Sequence[Path]) -> Path:
    local = [source.parent for source in sources if not is_url(source)]
    return Path(os.path.commonpath(local)) if local else Path()


def _of_dataset(path: Path, dataset: Dataset) -> FeatureSet:
    if not _is_ours(dataset.settings | {"source": "/"}):
        raise DataError(f"{path} is no dataset of vidmoco extract: its settings are damaged.")
    require_frames(path, dataset.settings)
    if not dataset.places:
        raise ConfigError(f"There are no features in {path} yet. {_advice(path)}")
    rows, files = DatasetRows(dataset), []
    times, dim = rows.times(), dataset.schema.field("feature").type.list_size
    for video, places in dataset.places.items():
        entry = places[0].entry
        sidecar = dataset.settings | {
            "source": entry.source,
            "source_bytes": entry.source_bytes,
            "source_mtime_ns": entry.source_mtime_ns,
        }
        source, read = Path(entry.source), partial(rows.rows, places)
        files.append(FeatureFile(path, video, source, times[video], dim, sidecar, read))
    files.sort(key=lambda file: (str(file.source), file.name))
    return FeatureSet(files, _folder_of([file.source for file in files]), [])


def _is_ours(sidecar: dict[str, Any]) -> bool:
    texts = [sidecar.get(key) for key in ("source", "backbone", "weights_hash")]
    return (
        all(isinstance(text, str) and "\0" not in text for text in texts)
        and isinstance(sidecar.get("preprocess"), dict)
        and (Path(str(sidecar["source"])).is_absolute() or is_url(Path(str(sidecar["source"]))))
    )


def _require_one_sidecar_each(paths: list[Path]) -> None:
    """Refuse files that differ only in their suffix: one sidecar cannot describe both."""
    by_stem = defaultdict(list)
    for path in paths:
        by_stem[path.with_suffix("")].append(path)
    for several in by_stem.values():
        if len(several) > 1:
            raise ConfigError(
                f"{' and '.join(map(str, several))} share one sidecar, which describes only one of "
                "them. Remove the other."
            )


def _require_one_backbone(path: Path, found: list[tuple[Path, dict[str, Any]]]) -> None:
    kinds = Counter(describe_backbone(sidecar) for _, sidecar in found)
    if len(kinds) > 1:
        listed = "; ".join(f"{count} of {kind}" for kind, count in kinds.most_common(3))
        raise ConfigError(
            f"{path} holds features of different backbones, which cannot be compared: {listed}. "
            "Give the files of one of them."
        )
