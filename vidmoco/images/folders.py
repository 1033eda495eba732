"""List the files of image folders, and find their parts: folders, Parquet files, shards."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidmoco.errors import ConfigError, DataError
from vidmoco.images.suffixes import GIF, IMAGE_SUFFIXES
from vidmoco.text import first_of
from vidmoco.video.files import VIDEO_SUFFIXES

ALL = "all"
"""The name of the only part."""
TRAIN, VAL = ("train",), ("val", "validation", "valid", "dev", "test")
# As Hugging Face's tools name them: train-00000-of-00002.parquet, perhaps with a hash at the end.
_SHARD = re.compile(r"(?P<number>\d+)-of-(?P<count>\d+)(-[0-9a-f]+)?$")


def holds_videos(folder: Path) -> bool:
    """Return whether a folder has videos and no images, at any depth; a GIF tells neither."""
    if _has_parquet(folder):
        return False
    found = False
    for file in files_below(folder):
        suffix = file.suffix.lower()
        if suffix == GIF:
            continue
        if suffix in IMAGE_SUFFIXES:
            return False
        found = found or suffix in VIDEO_SUFFIXES
    return found


def entries(folder: Path) -> list[Path]:
    """List a folder in the order of names, without hidden entries."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"Cannot read the folder {folder}: {error.strerror}.") from error


def files_below(folder: Path, *, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield all files below a folder, by name. Links to a folder above are not followed."""
    real = folder.resolve()
    if real in above:
        return
    for entry in entries(folder):
        if entry.is_dir():
            yield from files_below(entry, above=above | {real})
        else:
            yield entry


Part = tuple[str, list[Path]]
"""Name and paths of a part: one folder of class folders, or Parquet files in the order of names."""


def find_parts(path: Path) -> tuple[Part, Part | None]:
    """Return the train and the val part below a folder or its ``data/``, or all images and None.

    Images come in one part, with or without the name `train`, if they are class folders or Parquet
    files and nothing lies beside them that may be the other part.

    Raises:
        ConfigError: a part is missing.
        DataError: some shards of a part are missing.
    """
    if path.is_file():
        return (ALL, [path]), None
    base = path
    if not _find(path, TRAIN) and _find(path / "data", TRAIN):
        base = path / "data"
    train, val = _find(base, TRAIN), _find(base, VAL)
    if train and val:
        return train, val
    beside = [entry for entry in entries(base) if entry.is_dir() or _is_parquet(entry)]
    if not val and beside and (train is None or set(beside) <= {base / "train", *train[1]}):
        if train is not None:
            return train, None
        if shards := shards_in(base):
            return (ALL, shards), None
        if all(_may_be_class(entry) for entry in beside):
            return (ALL, [base]), None
    listed = ", ".join(entry.name for entry in entries(base)[:8])
    usual = dict.fromkeys((VAL[0], VAL[-1]) if train else TRAIN)
    wanted = " or ".join(f"{name}/ or {name}.parquet" for name in usual)
    raise ConfigError(
        f"{base} has no {wanted}. It has: {listed or 'nothing'}. Give the folder that holds a "
        "training and a validation part, or one with a folder of images for each class."
    )


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _may_be_class(entry: Path) -> bool:
    """Return whether a folder has images itself, or no folders: one of class folders has not."""
    inside = entries(entry) if entry.is_dir() else []
    has_images = any(file.suffix.lower() in IMAGE_SUFFIXES for file in inside)
    return entry.is_dir() and (has_images or not any(one.is_dir() for one in inside))


def _has_parquet(folder: Path) -> bool:
    """Return whether a part below ``folder`` is in Parquet files."""
    parts = [_find(base, names) for base in (folder, folder / "data") for names in (TRAIN, VAL)]
    return any(part is not None and part[1][0].suffix == ".parquet" for part in parts)


def shards_in(folder: Path) -> list[Path]:
    """Return the Parquet files of a folder that holds them in place of class folders.

    Raises:
        DataError: it cannot be read, or some shards are missing.
    """
    found = entries(folder)
    shards = [path for path in found if _is_parquet(path) and path.is_file()]
    if not shards or any(path.is_dir() for path in found):
        return []
    _require_all(shards)
    return shards


def _find(folder: Path, names: Sequence[str]) -> tuple[str, list[Path]] | None:
    for name in names:
        if (folder / name).is_dir():
            return name, shards_in(folder / name) or [folder / name]
        if (folder / f"{name}.parquet").is_file():
            return name, [folder / f"{name}.parquet"]
        shard = re.compile(re.escape(name) + r"[-_.]\d+(-of-\d+)?(-[0-9a-f]+)?\.parquet").fullmatch
        shards = [path for path in _files(folder) if shard(path.name)]
        if shards:
            _require_all(shards)
            return name, shards
    return None


def _files(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if path.is_file()] if folder.is_dir() else []


def _require_all(shards: Sequence[Path]) -> None:
    """Refuse shards that name their number and are not all there, or are of two sets."""
    named = [found for path in shards if (found := _SHARD.search(path.stem))]
    if not named:
        return
    counts = {int(found["count"]) for found in named}
    numbers = sorted(int(found["number"]) for found in named)
    if len(counts) > 1 or len(named) != len(shards) or numbers != list(range(max(counts))):
        raise DataError(
            f"{shards[0].parent} does not hold one whole set of shards: {len(shards)} of "
            f"{max(counts)}, {first_of([path.name for path in shards], 8)}. Fetch those that are "
            "missing, and remove those of another set."
        )
