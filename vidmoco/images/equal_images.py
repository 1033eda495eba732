"""Equal images in train and val: what lies on both sides is remembered, not recognised.

Equal means byte for byte. Images are compared by size first, and only those of a size that both
sides have are read. The same picture in another encoding is not found.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidmoco.errors import DataError
from vidmoco.images.labelled import ImageFiles, LabelledImages
from vidmoco.images.parquet import ParquetImages
from vidmoco.images.torchvision import TorchvisionImages
from vidmoco.text import counted


@dataclass(frozen=True)
class EqualImages:
    """Images that both sides have."""

    num_train: int
    """Images of train that are in val too."""
    num_val: int
    """Images of val that are in train too."""
    example: tuple[str, str] | None
    """One of train and the same of val, by their names; None: there is none."""


def find_equal_images(train: LabelledImages, val: LabelledImages) -> EqualImages | None:
    """Return the images that lie in train and in val; None for those of torchvision's datasets.

    Those that cannot be read are equal to none.
    """
    first, second = _own_source(train), _own_source(val)
    if first is None or second is None:
        return None
    sizes = [
        source.sizes()[np.asarray(images.rows, dtype=np.int64)]
        for source, images in ((first, train), (second, val))
    ]
    common = np.intersect1d(sizes[0], sizes[1])
    in_both = [np.flatnonzero(np.isin(size, common[common > 0])).tolist() for size in sizes]
    mine = _by_hash(first, train.rows, in_both[0])
    others = _by_hash(second, val.rows, in_both[1])
    shared = sorted(mine.keys() & others.keys(), key=others.__getitem__)
    if not shared:
        return EqualImages(0, 0, None)
    return EqualImages(
        num_train=sum(len(mine[digest]) for digest in shared),
        num_val=sum(len(others[digest]) for digest in shared),
        example=(train.names[mine[shared[0]][0]], val.names[others[shared[0]][0]]),
    )


def warning_of(found: EqualImages | None, val: LabelledImages) -> str:
    """Return in words that images of ``val`` are in train too; empty: none is known to be."""
    if found is None or found.example is None:
        return ""
    return (
        f"{counted(found.num_val, 'image')} of the {len(val):,} in {val.split} "
        f"{'is' if found.num_val == 1 else 'are'} in train too, byte for byte "
        f"(as {counted(found.num_train, 'image')} there), such as {found.example[1]} and "
        f"{found.example[0]}: what is remembered counts as recognised."
    )


def _own_source(images: LabelledImages) -> ImageFiles | ParquetImages | None:
    """Return what the images are read from, of which nothing stays open; None: no files."""
    if isinstance(images.source, TorchvisionImages):
        return None
    if isinstance(images.source, ParquetImages):
        return ParquetImages(images.source.path)
    return images.source


def _by_hash(
    source: ImageFiles | ParquetImages, rows: Sequence[int], indexes: Sequence[int]
) -> dict[bytes, list[int]]:
    """Return which of some images have which hash of their bytes."""
    found = defaultdict(list)
    for index in indexes:
        try:
            data = source.read(rows[index])
        except DataError:  # listed when its turn to be decoded comes
            continue
        found[hashlib.sha256(data).digest()].append(index)
    return found
