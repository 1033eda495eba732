"""A set of labelled images. Only paths and labels are in memory.

Images are read on demand, so a set may be larger than memory, and worker processes can share the
work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidmoco.errors import DataError
from vidmoco.images.decode import decode_image
from vidmoco.images.parquet import ParquetImages
from vidmoco.images.torchvision import TorchvisionImages
from vidmoco.shapes import Int64, UInt8


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Images in files."""

    paths: Sequence[Path]

    def read(self, row: int) -> bytes:
        """Return the bytes of one file, or raise ``DataError`` if it cannot be read."""
        try:
            return self.paths[row].read_bytes()
        except OSError as error:
            raise DataError(f"{type(error).__name__}: {error.strerror}") from error

    def sizes(self) -> Int64[np.ndarray, " n"]:
        """Return the size of each file in bytes, or -1 if it cannot be read."""
        return np.array([_size_of(path) for path in self.paths], dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class LabelledImages(Dataset[tuple[Tensor, int]]):
    """A set of images with labels. ``images[i]`` is a uint8 (3, H, W) tensor and its label."""

    split: str
    """`train`, `val` or `test`."""
    classes: tuple[str, ...]
    """Name of each label."""
    labels: Int64[Tensor, " n"]
    names: Sequence[str]
    """Name of each image in lists: its path in the set."""
    source: ImageFiles | ParquetImages | TorchvisionImages
    rows: Sequence[int]
    """Row of each image in the source."""
    videos: Sequence[str] | None = None
    """The video of each image, if the images are frames of videos."""
    groups: Sequence[str] | None = None
    """The group of each image. All of a group is in one split."""
    classes_are_numbers: bool = False
    """Whether the classes are numbers of a Parquet file that names none."""
    drawn_share: float | None = None
    """The share of each class that was drawn for val, if the images came without a val part."""
    num_other_files: int = 0
    """Number of files in the folders that are not images by their suffix."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[UInt8[Tensor, "3 h w"], int]:
        """Decode one image. Raise ``DataError``, whose text is the reason, if it is damaged."""
        row = self.rows[index]
        if isinstance(self.source, TorchvisionImages):
            return self.source.image(row), int(self.labels[index])
        return decode_image(self.source.read(row)), int(self.labels[index])

    def subset(self, indexes: Sequence[int]) -> "LabelledImages":
        """Return some of the images, in the given order."""
        return replace(
            self,
            labels=self.labels[torch.as_tensor(indexes, dtype=torch.int64)],
            names=[self.names[index] for index in indexes],
            rows=[self.rows[index] for index in indexes],
            videos=None if self.videos is None else [self.videos[index] for index in indexes],
            groups=None if self.groups is None else [self.groups[index] for index in indexes],
        )


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
