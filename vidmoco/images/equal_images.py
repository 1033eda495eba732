"""Find images that are in both train and val, and would make the accuracy too high.

Images are equal if their files are equal byte for byte. Of files whose size occurs in both parts
some blocks are read, in threads, and whole files only where these are equal. The same picture in
another encoding is not found.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidmoco.content import hash_of_bytes, hashes_of_files
from vidmoco.errors import DataError
from vidmoco.images.labelled import ImageFiles, LabelledImages
from vidmoco.images.parquet import ParquetImages
from vidmoco.images.torchvision import TorchvisionImages
from vidmoco.text import counted


@dataclass(frozen=True)
class EqualImages:
    """Images that are in both train and val."""

    num_train: int
    """Number of images of train that are in val too."""
    num_val: int
    """Number of images of val that are in train too."""
    example: tuple[str, str] | None
    """The names of one such image in train and in val, or None."""


def find_equal_images(train: LabelledImages, val: LabelledImages) -> EqualImages | None:
    """Return the images that are in both train and val, or None for torchvision's datasets.

    Unreadable images are equal to no other.
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
    sampled = [
        _sampled_hashes(source, [images.rows[index] for index in indexes])
        for source, images, indexes in ((first, train, in_both[0]), (second, val, in_both[1]))
    ]
    common_hashes = set(sampled[0]) & set(sampled[1])
    alike = [
        [index for index, digest in zip(indexes, digests, strict=True) if digest in common_hashes]
        for indexes, digests in zip(in_both, sampled, strict=True)
    ]
    mine = _by_hash(first, train.rows, alike[0])
    others = _by_hash(second, val.rows, alike[1])
    shared = sorted(mine.keys() & others.keys(), key=others.__getitem__)
    if not shared:
        return EqualImages(0, 0, None)
    return EqualImages(
        num_train=sum(len(mine[digest]) for digest in shared),
        num_val=sum(len(others[digest]) for digest in shared),
        example=(_name(train, mine[shared[0]][0]), _name(val, others[shared[0]][0])),
    )


def warning_of(found: EqualImages | None, val: LabelledImages) -> str:
    """Return a warning about images of ``val`` that are in train too, or an empty string."""
    if found is None or found.example is None:
        return ""
    return (
        f"{counted(found.num_val, 'image')} of the {len(val):,} in {val.split} "
        f"{'is' if found.num_val == 1 else 'are'} in train too, byte for byte "
        f"(as {counted(found.num_train, 'image')} there), such as {found.example[1]} and "
        f"{found.example[0]}. The accuracy counts such images as recognised."
    )


def _name(images: LabelledImages, index: int) -> str:
    """Return what a user calls an image: of a video, which may have made it, its video."""
    return images.names[index] if images.videos is None else f"a frame of {images.videos[index]}"


def _own_source(images: LabelledImages) -> ImageFiles | ParquetImages | None:
    """Return a separate source of the images, which can be closed, or None for torchvision's."""
    if isinstance(images.source, TorchvisionImages):
        return None
    if isinstance(images.source, ParquetImages):
        return ParquetImages(images.source.paths)
    return images.source


def _sampled_hashes(source: ImageFiles | ParquetImages, rows: Sequence[int]) -> list[str]:
    """Return a hash of some blocks of each image: images with other ones are not equal.

    Of what cannot be read it is an empty string.
    """
    if isinstance(source, ImageFiles):
        return list(hashes_of_files(source.paths[row] for row in rows))
    return [_sampled_hash(source, row) for row in rows]


def _sampled_hash(source: ParquetImages, row: int) -> str:
    try:
        return hash_of_bytes(source.read(row))
    except DataError:
        return ""


def _by_hash(
    source: ImageFiles | ParquetImages, rows: Sequence[int], indexes: Sequence[int]
) -> dict[bytes, list[int]]:
    """Return the indexes of images by the hash of their bytes."""
    found = defaultdict(list)
    for index in indexes:
        try:
            data = source.read(rows[index])
        except DataError:  # reported when the image is decoded
            continue
        found[hashlib.sha256(data).digest()].append(index)
    return found
