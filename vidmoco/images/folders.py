"""Find the files and the parts of image folders: class folders, Parquet files, shards, lists."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidmoco.errors import ConfigError, DataError
from vidmoco.images.suffixes import GIF, IMAGE_SUFFIXES
from vidmoco.images.table_file import TABLES
from vidmoco.text import first_of
from vidmoco.video.files import VIDEO_SUFFIXES

ALL = "all"
"""The name of the only part."""
TRAIN = ("train", "training")
VAL = ("val", "validation", "validate", "valid", "dev", "test", "testing")
"""Names of the parts, in any case. Of several val parts the first one is taken."""
_ONLY_PARTS = ("train", *VAL[:-1])
"""Names that in this case are no classes."""
LISTS = (".csv", ".tsv", ".jsonl")
"""Suffixes of files that list images with their labels."""
METADATA = ("metadata.csv", "metadata.jsonl")
"""Names of such lists in a folder of images, as Hugging Face's ``datasets`` reads them."""
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


def listed_files(names: Sequence[str], listed: Path) -> list[Path]:
    """Return the files that a list or a table of images names.

    Paths are from its own folder, or from the folder beside it that is called so (`train/` of
    `train.csv`).

    Raises:
        DataError: none of them is there.
    """
    for separator in ("/", "\\"):  # Windows writes the other one
        for folder in (listed.parent, listed.with_suffix("")):
            files = [folder / name.replace(separator, "/") for name in names]
            if not files or any(file.is_file() for file in files):
                return files
    raise DataError(
        f"No image of {listed} is there: it lists {names[0]!r}, but there is no "
        f"{listed.parent / names[0]}. Expected paths from {listed.parent}, with their suffixes."
    )


Part = tuple[str, list[Path]]
"""Name and paths of a part: one folder of class folders, one list, or tables in order of names."""


def find_parts(path: Path) -> tuple[Part, Part | None]:
    """Return the train and the val part below a folder or its ``data/``, or all images and None.

    Images come in one part, with or without the name `train`, if they are class folders, Parquet
    files or a list, and nothing lies beside them that may be the other part.

    Raises:
        ConfigError: a part is missing.
        DataError: some shards of a part are missing.
    """
    if path.is_file():
        return (ALL, [path]), None
    base = path
    if not _find(path, TRAIN) and _find(path / "data", TRAIN):
        base = path / "data"
    beside = [entry for entry in entries(base) if entry.is_dir() or _is_table(entry)]
    train, val = _parts_beside_classes(_find(base, TRAIN), _find(base, VAL), beside)
    if train and val:
        return train, val
    if train and (_is_list(train[1][0]) or {*beside} <= {*train[1], *(p.parent for p in train[1])}):
        return train, None
    if not train and not val:
        if shards := shards_in(base):
            return (ALL, shards), None
        lists = [entry for entry in _files(base) if _is_list(entry)]
        # One folder beside a list holds its images: there would be only one class.
        if len(beside) > min(len(lists), 1) and all(_may_be_class(entry) for entry in beside):
            return (ALL, [base]), None
        if len(lists) == 1 or (lists and lists[0].name in METADATA):
            return (ALL, lists[:1]), None
    listed = ", ".join(entry.name for entry in entries(base)[:8])
    what, names = ("validation", VAL) if train else ("training", TRAIN)
    raise ConfigError(
        f"{base} has no {what} part: a folder, .parquet or .csv called {', '.join(names[:-1])} or "
        f"{names[-1]}. It has: {listed or 'nothing'}. Give the folder that holds a training and a "
        "validation part, or one with a folder of images for each class, or one list of images."
    )


def _parts_beside_classes(
    train: Part | None, val: Part | None, beside: Sequence[Path]
) -> tuple[Part | None, Part | None]:
    """Return the parts that were found, without those that are classes or tell of classes.

    `Train` beside `Bus` and `Car` is a class, and so is `Test`. One list beside class folders is
    not a part.
    """
    if train is None and val is None:
        return None, None
    classes = [entry for entry in beside if entry.is_dir() and _has_images(entry)]
    if len(classes) < 2:
        return train, val
    paths = [part[1][0] for part in (train, val) if part is not None]
    if len(paths) == 1 and _is_list(paths[0]):
        return None, None
    names = {entry.name for entry in beside}
    may_be = len(classes) == len(beside) and not names & {*_ONLY_PARTS}
    if may_be and {*paths} & {*beside} and not {name.lower() for name in names} <= {*TRAIN, *VAL}:
        return None, None
    return train, val


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in TABLES


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in LISTS and path.is_file()


def _has_images(folder: Path) -> bool:
    """Return whether a folder has images itself."""
    return any(file.suffix.lower() in IMAGE_SUFFIXES for file in entries(folder))


def _may_be_class(entry: Path) -> bool:
    """Return whether a folder has images itself, or no folders: one of class folders has not."""
    return entry.is_dir() and (_has_images(entry) or not any(x.is_dir() for x in entries(entry)))


def _has_parquet(folder: Path) -> bool:
    """Return whether a part below ``folder`` is in Parquet files."""
    parts = [_find(base, names) for base in (folder, folder / "data") for names in (TRAIN, VAL)]
    return any(part is not None and _is_table(part[1][0]) for part in parts)


def shards_in(folder: Path) -> list[Path]:
    """Return the tables of a folder that holds them in place of class folders.

    Raises:
        DataError: it cannot be read, or some shards are missing.
    """
    found = entries(folder)
    # datasets keeps cache-….arrow beside the data-….arrow that it has saved.
    shards = [p for p in found if _is_table(p) and p.is_file() and not p.name.startswith("cache-")]
    if not shards or any(path.is_dir() for path in found):
        return []
    _require_all(shards)
    return shards


def _find(folder: Path, names: Sequence[str]) -> Part | None:
    """Return the first of the parts so called, in any case, but best in this one."""
    there = entries(folder) if folder.is_dir() else []
    for name in names:
        called = [e for e in there if (e.name if e.is_dir() else e.stem).lower() == name]
        called = [e for e in called if e.is_dir() or _is_table(e) or _is_list(e)]
        called.sort(key=lambda e: (not e.is_dir(), not _is_table(e), not e.name.startswith(name)))
        # A folder without classes holds the images of the list beside it.
        if len(called) > 1 and called[0].is_dir() and not _holds_part(called[0]):
            del called[0]
        if called:
            first = called[0]
            return name, (shards_in(first) if first.is_dir() else []) or [first]
        shard = re.compile(re.escape(name) + r"[-_.]\d+(-of-\d+)?(-[0-9a-f]+)?\.parquet").fullmatch
        shards = [path for path in there if path.is_file() and shard(path.name.lower())]
        if shards:
            _require_all(shards)
            return name, shards
    return None


def _holds_part(folder: Path) -> bool:
    inside = entries(folder)
    return any(e.is_dir() or _is_table(e) or e.name in METADATA for e in inside)


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
