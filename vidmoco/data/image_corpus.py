"""Unlabelled images as training data. Each image is a video of one frame.

The images are files at any depth of a folder, or the column ``image`` of a Parquet file, as for
evaluation.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from torch import Tensor

from vidmoco.content import hash_of_bytes, hashes_of_files
from vidmoco.errors import ConfigError, DataError, VideoError
from vidmoco.images.decode import decode_image
from vidmoco.images.parquet_schema import image_bytes, image_column
from vidmoco.images.suffixes import GIF, IMAGE_SUFFIXES, walk
from vidmoco.shapes import Float32, Float64, UInt8
from vidmoco.video.files import VIDEO_SUFFIXES, begins_like_video
from vidmoco.video.other_files import others_line

_DURATION = 1e-3  # seconds of an image, so that a moment in it has a time
_SHAPES_READ = 256  # images whose shapes decide the canvas
_MAX_PARQUET_BYTES = 2**35  # assumption: a larger file does not fit into memory


@dataclass(frozen=True)
class ImageCorpus:
    """Images that are read on demand, with the interface of ``StoredFrames``."""

    names: list[str]
    sources: list[Path | Any]
    """For each image a file, or the bytes of one in a Parquet file (an arrow scalar)."""
    at_least: int | None = None
    """A large JPEG file is decoded smaller, with no side below so many pixels."""
    not_read: str = ""
    """A line on the files beside the images, or an empty string."""

    @cached_property
    def durations(self) -> Float64[np.ndarray, " n"]:
        """The same short duration for every image, in seconds."""
        return np.full(len(self.names), _DURATION)

    @cached_property  # used for every pair
    def pts_seconds(self) -> Float64[np.ndarray, " n"]:
        """Zeros: every image is at the start of its video."""
        return np.zeros(len(self.names))

    @property
    def key(self) -> dict[str, Any]:
        """What identifies the images, for a resume: their names and contents, in any place."""
        lines = (
            f"{name} {content}\n" for name, content in zip(self.names, self.contents(), strict=True)
        )
        digest = hashlib.sha256("".join(lines).encode("utf-8", "backslashreplace"))
        return {
            "format": "vidmoco.images",
            "images": len(self.names),
            "content": digest.hexdigest(),
            "version": 2,
        }

    def contents(self) -> Iterable[str]:
        """Yield the hash of each image's content (``content.py``)."""
        files = [source for source in self.sources if isinstance(source, Path)]
        if len(files) == len(self.sources):
            return hashes_of_files(files)
        return (hash_of_bytes(self._bytes(row)) for row in range(len(self.sources)))

    @property
    def key_of_first_version(self) -> dict[str, Any]:
        """What identified the images of runs of vidmoco 0.1.0: places, names and sizes."""
        states = (
            f"{source} {source.stat().st_size}" if isinstance(source, Path) else ""
            for source in self.sources
        )
        lines = (f"{name} {state}\n" for name, state in zip(self.names, states, strict=True))
        content = hashlib.sha256("".join(lines).encode("utf-8", "backslashreplace")).hexdigest()
        return {"format": "vidmoco.images", "images": len(self.names), "content": content}

    def frame_at(self, video: int, seconds: float) -> int:
        """Return the only frame, which has the index of its video."""
        return video

    def read(self, frame: int) -> UInt8[Tensor, "3 h w"]:
        """Return an image.

        Raises:
            VideoError: the image cannot be read.
        """
        try:
            return decode_image(self._bytes(frame), at_least=self.at_least)
        except (DataError, OSError) as error:
            raise VideoError(f"{self.names[frame]}: {error}") from error

    def aspect_ratio(self, video: int, picture: UInt8[Tensor, "3 h w"]) -> float:
        """Return the width / height of an image."""
        return picture.shape[2] / picture.shape[1]

    @property
    def aspect_ratios(self) -> Float32[np.ndarray, " some"]:
        """The width / height of evenly spaced images, from their headers.

        Raises:
            ConfigError: none of them can be read.
        """
        ratios = []
        rows = np.linspace(0, len(self.names) - 1, _SHAPES_READ).astype(int)
        for row in np.unique(rows).tolist():
            try:
                with Image.open(io.BytesIO(self._bytes(row))) as image:
                    ratios.append(image.width / image.height)
            except (OSError, ValueError, Image.DecompressionBombError):
                continue  # the training reports it when it reads the image
        if not ratios:
            raise ConfigError(f"None of the images can be read, such as {self.names[0]}.")
        return np.array(ratios, dtype=np.float32)

    def with_least_side(self, pixels: int) -> "ImageCorpus":
        """Return the same images, of which large JPEG files are decoded smaller."""
        return replace(self, at_least=pixels)

    def _bytes(self, row: int) -> bytes:
        source = self.sources[row]
        return source.read_bytes() if isinstance(source, Path) else source.as_py() or b""


def open_image_corpus(sources: Sequence[Path]) -> ImageCorpus | None:
    """Return the images of folders and Parquet files, or None if no source holds images.

    A folder that holds any video counts as a folder of videos. A GIF among other images is one.

    Raises:
        ConfigError: some sources hold images, and others do not.
        DataError: a folder among those of images cannot be read.
    """
    others = Counter[str]()
    found = [_parquet(source) or _folder(source, others) for source in sources]
    if not any(found):
        return None
    for source, images in zip(sources, found, strict=True):
        if not images:
            raise ConfigError(
                f"{source} holds no images, but other sources do. Train either on images or on "
                "videos. `vidmoco scan` lists the videos of a folder."
            )
    images = [image for source in found for image in source]
    names, where = [name for name, _ in images], [source for _, source in images]
    return ImageCorpus(names, where, not_read=others_line(others))


def _folder(folder: Path, others: Counter[str]) -> list[tuple[str, Any]]:
    """Return the name and path of each image below a folder, or nothing if there is a video.

    A folder without image files may hold images in Parquet files, in place of one such file. The
    rest is counted by suffix in ``others``.
    """
    paths: list[Path] = []
    tables: list[Path] = []
    gifs: list[Path] = []
    rest = Counter[str]()
    errors: list[OSError] = []
    for path in walk(folder, on_error=errors.append):
        suffix = path.suffix.lower()
        if suffix == GIF:
            gifs.append(path)
        elif suffix in VIDEO_SUFFIXES:
            return []
        elif suffix in IMAGE_SUFFIXES:
            paths.append(path)
        elif suffix == ".parquet":
            tables.append(path)
        elif begins_like_video(path):  # as a scan finds it, also beside thumbnails
            return []
        else:
            rest[suffix or "no suffix"] += 1
    if gifs and not paths:
        return []
    if not paths:
        found = _rows([path for path in sorted(tables) if _holds_images(path)], below=folder)
    else:
        rest[".parquet"] += len(tables)
        paths += gifs
        found = [(path.relative_to(folder).as_posix(), path) for path in sorted(paths)]
    if found and errors:
        raise DataError(f"Cannot read the folder {errors[0].filename}: {errors[0].strerror}.")
    if found:
        others.update(+rest)
    return found


def _parquet(path: Path) -> list[tuple[str, Any]]:
    """Return the name and bytes of each row of a Parquet file of images, or nothing."""
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return []
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{path} cannot be read as images: {error}") from error
    if "key" in names and "image" not in names:
        return []  # a catalog
    return _rows([path], below=path.parent)


def _holds_images(path: Path) -> bool:
    try:
        image_column(pq.read_schema(path), path)
    except (pa.ArrowException, OSError, DataError):
        return False
    return True


def _rows(paths: Sequence[Path], *, below: Path) -> list[tuple[str, Any]]:
    """Return the name and bytes of each row of Parquet files.

    All bytes stay in memory, because rows are read at random and Parquet reads whole row groups.
    """
    num_bytes = sum(path.stat().st_size for path in paths)
    if num_bytes > _MAX_PARQUET_BYTES:
        raise ConfigError(
            f"{below} has {num_bytes / 2**30:.0f} GiB of images in Parquet, which are read into "
            "memory. Write them to a folder of image files."
        )
    rows: list[tuple[str, Any]] = []
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                column = file.read(columns=[image_column(file.schema_arrow, path)]).column(0)
                column = image_bytes(column)
        except (pa.ArrowException, OSError, DataError) as error:
            raise ConfigError(f"{path} cannot be read as images: {error}") from error
        name = path.relative_to(below).as_posix()
        rows += [(f"{name} row {row:08d}", value) for row, value in enumerate(column)]
    return rows
