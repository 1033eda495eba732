"""Labelled images: class folders, Parquet files or torchvision datasets, as train and val sets.

    images/train/CLASS/any/depth/x.jpg    or    images/train.parquet    columns `image`, `label`
    images/val/CLASS/y.png                      images/val.parquet

The second part may be called val, validation, valid, dev or test. In place of a Parquet file there
may be shards of it (train-00000-of-00002.parquet) or a folder of shards, all also below `data/`.
Names say which class is which. Numbers do only where both parts name none.

Only paths and labels are read here. Images are read on demand, so a set may be larger than memory,
and worker processes can share the work.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidmoco.errors import ConfigError, DataError
from vidmoco.images.decode import decode_image
from vidmoco.images.folders import entries, files_below, find_parts
from vidmoco.images.parquet import ParquetImages, read_parquet_labels
from vidmoco.images.suffixes import IMAGE_SUFFIXES
from vidmoco.images.torchvision import TorchvisionImages, open_torchvision
from vidmoco.shapes import Int64, UInt8
from vidmoco.text import counted, first_of


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


def load_labelled_images(
    path: Path,
    *,
    max_train_per_class: int | None = None,
    seed: int = 0,
    label_column: str = "label",
    torchvision: str | None = None,
) -> tuple[LabelledImages, LabelledImages]:
    """Return the train and val images of a folder.

    Args:
        path: A folder with ``train/`` and ``val/``, with one folder per class in each; or with
            ``train.parquet`` and ``val.parquet``; see above.
        max_train_per_class: Maximum number of training images per class.
        seed: Seed of their choice.
        label_column: Column of the classes in Parquet files.
        torchvision: Name of the torchvision dataset whose root is ``path``.

    Raises:
        ConfigError: there is no such folder, or it has no train or no val part.
        DataError: a part cannot be read or has no images; val has a class that train has not; or
            frames of one video, or images of one group, are in both.
    """
    if not path.is_dir():
        raise ConfigError(
            f"No such folder of images: {path}. Expected one with train/ and val/, or with "
            "train.parquet and val.parquet."
        )
    if torchvision is not None:
        train, val = (_read_torchvision(part) for part in open_torchvision(torchvision, path))
    else:
        train, val = (_read(*part, label_column) for part in find_parts(path))
    train, val = _with_common_classes(train, val, path=path)
    _require_no_leak(train, val, path=path)
    if max_train_per_class is not None:
        train = at_most_per_class(train, max_train_per_class, seed=seed)
    return train, val


def at_most_per_class(images: LabelledImages, count: int, *, seed: int) -> LabelledImages:
    """Return at most ``count`` images of each class, drawn at random.

    They are drawn from the sorted names, so the order of files on the disk does not matter.
    """
    generator = np.random.default_rng(seed)
    by_name = np.array(sorted(range(len(images)), key=images.names.__getitem__), dtype=np.int64)
    labels = images.labels.numpy()[by_name]
    chosen = [
        generator.permutation(by_name[labels == label])[:count]
        for label in range(len(images.classes))
    ]
    return images.subset(np.sort(np.concatenate(chosen)).tolist())


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _read(split: str, paths: Sequence[Path], label_column: str) -> LabelledImages:
    if paths[0].suffix.lower() != ".parquet":
        return _read_class_folders(paths[0], split=split)
    table = read_parquet_labels(paths, label=label_column)
    return LabelledImages(
        split=split,
        classes=table.classes,
        labels=torch.from_numpy(table.labels),
        names=table.names,
        source=ParquetImages(paths),
        rows=range(len(table.labels)),
        videos=table.videos,
        groups=table.groups,
        classes_are_numbers=table.are_numbers,
    )


def _read_torchvision(source: TorchvisionImages) -> LabelledImages:
    return LabelledImages(
        split=source.split,
        classes=source.classes,
        labels=torch.tensor(source.labels, dtype=torch.int64),
        names=[f"{source.split} image {row}" for row in range(len(source.labels))],
        source=source,
        rows=range(len(source.labels)),
    )


def _read_class_folders(folder: Path, *, split: str) -> LabelledImages:
    classes = [entry.name for entry in entries(folder) if entry.is_dir()]
    paths: list[Path] = []
    labels: list[int] = []
    num_others = sum(1 for entry in entries(folder) if not entry.is_dir())
    for label, name in enumerate(classes):
        files = list(files_below(folder / name))
        images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
        num_others += len(files) - len(images)
        if not images:
            raise DataError(
                f"Class folder {folder / name} has no images. Add some, or remove the folder. "
                f"Known suffixes: {' '.join(sorted(IMAGE_SUFFIXES))}"
            )
        paths += images
        labels += [label] * len(images)
    if not classes:
        raise DataError(
            f"{folder} has no class folders with images; expected {folder / 'CLASS' / 'image.jpg'}."
        )
    return LabelledImages(
        split=split,
        classes=tuple(classes),
        labels=torch.tensor(labels, dtype=torch.int64),
        names=[file.relative_to(folder.parent).as_posix() for file in paths],
        source=ImageFiles(paths=paths),
        rows=range(len(paths)),
        num_other_files=num_others,
    )


def _with_common_classes(
    train: LabelledImages, val: LabelledImages, *, path: Path
) -> tuple[LabelledImages, LabelledImages]:
    """Give both parts the same class numbers, and refuse classes that train has not.

    A class of train that val has not is a possible wrong answer; see ``absent_warning``.
    """
    train, val = _composed(train, path=path), _composed(val, path=path)
    present = [
        {images.classes[label] for label in images.labels.unique().tolist()}
        for images in (train, val)
    ]
    if present[1] - present[0]:
        odd = [
            f"only in {part.split}: {first_of(sorted(mine - others), 8)}"
            for part, mine, others in (
                (train, present[0], present[1]),
                (val, present[1], present[0]),
            )
            if mine - others
        ]
        one_named = train.classes_are_numbers != val.classes_are_numbers
        numbered = train if train.classes_are_numbers else val
        raise DataError(
            f"Train and {val.split} of {path} do not have the same classes: {'; '.join(odd)}. "
            f"Every class of {val.split} needs images in train: add some, or remove it from "
            f"{val.split}."
            + f" {numbered.split} numbers its classes and names none: write their names to its "
            "metadata 'classes'." * one_named
        )
    if len(present[0]) < 2:
        raise DataError(f"{path} has images of one class only ({min(present[0])!r}); it needs two.")
    classes = tuple(name for name in train.classes if name in present[0])
    return _renumbered(train, classes), _renumbered(val, classes)


def _composed(images: LabelledImages, *, path: Path) -> LabelledImages:
    """Return images whose class names are composed (NFC), as most programs write them.

    Files copied from a Mac may have names that look the same and are decomposed.
    """
    classes = tuple(unicodedata.normalize("NFC", name) for name in images.classes)
    twice = sorted(name for name, count in Counter(classes).items() if count > 1)
    if twice:
        raise DataError(
            f"{images.split} of {path} has classes whose names look alike and differ in their "
            f"Unicode characters (composed and decomposed): {first_of(twice, 8)}. Merge them."
        )
    return replace(images, classes=classes)


def _require_no_leak(train: LabelledImages, val: LabelledImages, *, path: Path) -> None:
    """Refuse frames of one video, or images of one group, in both parts: val would be too easy."""
    for what in ("video", "group"):
        mine, others = getattr(train, f"{what}s"), getattr(val, f"{what}s")
        if (mine is None) != (others is None):
            alone = train.split if others is None else val.split
            raise DataError(
                f"{path} has a column {what!r} only in {alone}, so it is unknown whether both "
                f"share a {what}. Add it to both, or to none."
            )
        shared = set(mine or ()) & set(others or ())
        if shared:
            raise DataError(
                f"{path} has {counted(len(shared), what)} in both train and {val.split}, such as "
                f"{min(shared)!r}. Near-duplicate frames would be in both, and the accuracy would "
                f"measure memory. Put all of a {what} into one part."
            )


def _renumbered(images: LabelledImages, classes: tuple[str, ...]) -> LabelledImages:
    new_label = {name: label for label, name in enumerate(classes)}
    lookup = torch.tensor([new_label.get(name, -1) for name in images.classes], dtype=torch.int64)
    return replace(images, classes=classes, labels=lookup[images.labels])
