"""Labelled images as train and val sets: class folders, tables, lists or torchvision datasets.

    images/train/CLASS/any/depth/x.jpg    or    images/train.parquet    columns `image`, `label`
    images/val/CLASS/y.png                      images/val.parquet

The first part may be called train or training, the second val, validation, validate, valid, dev,
test or testing, in any case. In place of a Parquet file there may be shards of it
(train-00000-of-00002.parquet), a folder of shards or of `datasets.save_to_disk`, or a list
(train.csv with `path` and `label`), all also below `data/`. Names say which class is which. Numbers
do only where both parts name none.

If all images come in one part (images/CLASS/x.jpg, one Parquet file, one list), val is drawn from
them.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from vidmoco.config.fields import VAL_SHARE
from vidmoco.errors import ConfigError, DataError
from vidmoco.images.draw import at_most_per_class, with_drawn_val
from vidmoco.images.folders import LISTS, entries, files_below, find_parts
from vidmoco.images.labelled import ImageFiles, LabelledImages
from vidmoco.images.listed import metadata_of, read_listed
from vidmoco.images.parquet import ParquetImages, read_parquet_labels
from vidmoco.images.suffixes import IMAGE_SUFFIXES
from vidmoco.images.table_file import TABLES
from vidmoco.images.torchvision import TorchvisionImages, open_torchvision
from vidmoco.text import counted, first_of


def load_labelled_images(
    path: Path,
    *,
    max_train_per_class: int | None = None,
    seed: int = 0,
    label_column: str = "label",
    torchvision: str | None = None,
    val_share: float = VAL_SHARE,
) -> tuple[LabelledImages, LabelledImages]:
    """Return the train and val images of a folder.

    Args:
        path: A folder with ``train/`` and ``val/``, with one folder per class in each; or with
            ``train.parquet`` and ``val.parquet``, or with such lists; or all images in one part,
            also a file; see above.
        max_train_per_class: Maximum number of training images per class.
        seed: Seed of their choice, and of a val part that is drawn.
        label_column: Column of the classes in tables and lists.
        torchvision: Name of the torchvision dataset whose root is ``path``.
        val_share: Share of each class that is drawn for val, if there is no val part.

    Raises:
        ConfigError: there is no such folder, or it has no train part, or something else beside it.
        DataError: a part cannot be read or has no images; val has a class that train has not; or
            frames of one video, or images of one group, are in both.
    """
    if not path.is_dir() and not (path.is_file() and path.suffix.lower() in (*TABLES, *LISTS)):
        raise ConfigError(
            f"No such folder of images: {path}. Expected one with train/ and val/, or with "
            "train.parquet and val.parquet, or train.csv and val.csv, or with a folder of images "
            "for each class; or one such file."
        )
    if torchvision is not None:
        parts = [_read_torchvision(part) for part in open_torchvision(torchvision, path)]
    else:
        first, second = find_parts(path)
        parts = _read(*first, label_column, is_only=second is None)
        if second is not None:
            parts += _read(*second, label_column)
    if len(parts) == 1:
        parts = [*with_drawn_val(parts[0], share=val_share, seed=seed)]
    train, val = _with_common_classes(*parts, path=path)
    _require_no_leak(train, val, path=path)
    if max_train_per_class is not None:
        train = at_most_per_class(train, max_train_per_class, seed=seed)
    return train, val


def _read(
    split: str, paths: Sequence[Path], label_column: str, *, is_only: bool = False
) -> list[LabelledImages]:
    """Return the images of a part, or train and val if it is a list that says which is which."""
    listed = metadata_of(paths[0], label=label_column) if paths[0].is_dir() else paths[0]
    if listed is not None and listed.suffix.lower() in LISTS:
        return read_listed(listed, split=split, label=label_column, is_only=is_only)
    if paths[0].is_dir():
        return [_read_class_folders(paths[0], split=split)]
    table = read_parquet_labels(paths, label=label_column)
    images = LabelledImages(
        split=split,
        classes=table.classes,
        labels=torch.from_numpy(table.labels),
        names=table.names,
        source=ParquetImages(paths) if table.files is None else ImageFiles(paths=table.files),
        rows=range(len(table.labels)),
        videos=table.videos,
        groups=table.groups,
        classes_are_numbers=table.are_numbers,
    )
    return [images]


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
            f"{folder} has no class folders with images; expected {folder / 'CLASS' / 'image.jpg'}"
            ", or in it metadata.csv with the columns file_name and label, or in place of it a "
            f"list {folder.name}.csv with path and label."
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

    A class of train that val has not is a possible wrong answer; see ``notes_of``.
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
