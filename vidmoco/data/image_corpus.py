"""Unlabelled images as a corpus to train on: each is a video of one frame.

images/any/depth/x.jpg …    or    images.parquet    a column `image` as for evaluation
"""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image
from torch import Tensor

from vidmoco.errors import ConfigError, DataError, VideoError
from vidmoco.images.decode import IMAGE_SUFFIXES, decode_image
from vidmoco.images.parquet import image_column
from vidmoco.shapes import Float32, Float64, UInt8
from vidmoco.video.files import VIDEO_SUFFIXES

_SECONDS = 1e-3  # of a still image: a moment in it has a time
_LOOKED_AT = 256  # images whose shape says that of the canvas
_PARQUET_BYTES_MOST = 2**35  # assumption: what is more is not one file, and does not fit a memory


@dataclass(frozen=True)
class ImageCorpus:
    """Images that are read when they are asked for; what ``load_prepared`` reads frames from."""

    names: list[str]
    sources: list[Path | Any]
    """A file, or the bytes of one in a Parquet file (an arrow scalar)."""

    @cached_property
    def durations(self) -> Float64[np.ndarray, " n"]:
        """One moment each."""
        return np.full(len(self.names), _SECONDS)

    @cached_property  # asked for with every pair
    def pts_seconds(self) -> Float64[np.ndarray, " n"]:
        """Every image is at the beginning of its video."""
        return np.zeros(len(self.names))

    @property
    def key(self) -> dict[str, Any]:
        """What tells one corpus from another, for a resume."""
        states = (
            f"{source} {source.stat().st_size}" if isinstance(source, Path) else ""
            for source in self.sources
        )
        lines = (f"{name} {state}\n" for name, state in zip(self.names, states, strict=True))
        content = hashlib.sha256("".join(lines).encode("utf-8", "backslashreplace")).hexdigest()
        return {"format": "vidmoco.images", "images": len(self.names), "content": content}

    def frame_at(self, video: int, seconds: float) -> int:
        """Return the only frame."""
        return video

    def read(self, frame: int) -> UInt8[Tensor, "3 h w"]:
        """Return an image.

        Raises:
            VideoError: it cannot be read.
        """
        try:
            return decode_image(self._bytes(frame))
        except (DataError, OSError) as error:
            raise VideoError(f"{self.names[frame]}: {error}") from error

    def aspect_ratio(self, video: int, picture: UInt8[Tensor, "3 h w"]) -> float:
        """Return the width / height of an image that has been read."""
        return picture.shape[2] / picture.shape[1]

    def some_aspect_ratios(self) -> Float32[np.ndarray, " some"]:
        """Return those of a few images, from their headers.

        Raises:
            ConfigError: none of them is an image.
        """
        ratios = []
        for row in np.unique(np.linspace(0, len(self.names) - 1, _LOOKED_AT).astype(int)).tolist():
            try:
                with Image.open(io.BytesIO(self._bytes(row))) as image:
                    ratios.append(image.width / image.height)
            except (OSError, ValueError, Image.DecompressionBombError):
                continue  # listed when its turn comes
        if not ratios:
            raise ConfigError(f"No image can be read, such as {self.names[0]}.")
        return np.array(ratios, dtype=np.float32)

    def _bytes(self, row: int) -> bytes:
        source = self.sources[row]
        return source.read_bytes() if isinstance(source, Path) else source.as_py() or b""


def open_image_corpus(sources: Sequence[Path]) -> ImageCorpus | None:
    """Return the images of folders and Parquet files; None where there are videos, or no images.

    Raises:
        ConfigError: some of the sources hold images, and others videos.
    """
    found = [_parquet(source) or _folder(source) for source in sources]
    if not any(found):
        return None
    for source, images in zip(sources, found, strict=True):
        if not images:
            raise ConfigError(
                f"{source} holds no images, and other sources do. Train on images or on videos; "
                "`vidmoco scan` says what is in a folder."
            )
    images = [image for some in found for image in some]
    return ImageCorpus([name for name, _ in images], [source for _, source in images])


def _folder(folder: Path) -> list[tuple[str, Any]]:
    """Return name and path of each image below a folder; nothing where there is any video."""
    paths: list[Path] = []
    for path in _walk(folder) if folder.is_dir() else []:
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            return []
        if suffix in IMAGE_SUFFIXES:
            paths.append(path)
    return [(path.relative_to(folder).as_posix(), path) for path in sorted(paths)]


def _walk(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(where) / name for name in files if not name.startswith("."))


def _parquet(path: Path) -> list[tuple[str, Any]]:
    """Return name and bytes of each row of a Parquet file of images, else nothing.

    All bytes are in memory: rows are read at random, and a row group is read as a whole.
    """
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return []
    try:
        with pq.ParquetFile(path) as file:
            if "key" in file.schema_arrow.names and "image" not in file.schema_arrow.names:
                return []  # a catalog
            if path.stat().st_size > _PARQUET_BYTES_MOST:
                raise ConfigError(
                    f"{path} has {path.stat().st_size / 2**30:.0f} GiB, and images in Parquet are "
                    "read into memory. Write them to a folder of files."
                )
            column = file.read(columns=[image_column(file.schema_arrow, path)]).column(0)
    except (pa.ArrowException, OSError, DataError) as error:
        raise ConfigError(f"{path} cannot be read as images: {error}") from error
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    return [(f"{path.name} row {row:08d}", value) for row, value in enumerate(column)]
