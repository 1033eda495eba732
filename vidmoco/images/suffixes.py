"""Which files are images, and which folders may hold some, by names alone."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from vidmoco.video.files import VIDEO_SUFFIXES

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"}
)
GIF = ".gif"
"""An image among other images, and a video elsewhere."""


def may_hold_images(source: Path) -> bool:
    """Return whether the first image, Parquet file or video in a folder, at any depth, is no video.

    A folder with a video is one of videos, so most are looked at only until their first file.
    """
    suffixes = (path.suffix.lower() for path in walk(source))
    known = {*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, ".parquet"} - {GIF}
    return next((one for one in suffixes if one in known), ".mp4") not in VIDEO_SUFFIXES


def walk(folder: Path, *, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Yield the files of a folder, at any depth and through links, without hidden ones.

    ``on_error`` is told of each folder that cannot be read.
    """
    seen: set[str] = set()
    for where, folders, files in os.walk(folder, followlinks=True, onerror=on_error):
        real = os.path.realpath(where)
        if real in seen:  # a loop of links
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(where) / name for name in files if not name.startswith("."))
