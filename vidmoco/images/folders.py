"""List the files of image folders."""

from collections.abc import Iterator
from pathlib import Path

from vidmoco.errors import DataError
from vidmoco.images.decode import IMAGE_SUFFIXES
from vidmoco.video.files import VIDEO_SUFFIXES


def holds_videos(folder: Path) -> bool:
    """Return whether a folder has videos and no images, at any depth."""
    if any((folder / f"{name}.parquet").exists() for name in ("train", "val", "test")):
        return False
    found = False
    for file in files_below(folder):
        suffix = file.suffix.lower()
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
