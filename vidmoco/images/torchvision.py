"""Labelled images of torchvision's datasets on the disk. Nothing is downloaded."""

from collections import Counter
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torchvision
from torch import Tensor
from torchvision.transforms.v2 import functional as pixels

from vidmoco.errors import ConfigError, DataError, nearest
from vidmoco.images.decode import upright
from vidmoco.shapes import UInt8

# The datasets' names of the two parts. The first one that a dataset knows is used.
_SPLITS = {"train": ("train", "trainval"), "val": ("val", "test")}
# The names of the parts of datasets that only say which is for training.
_NAMES = {"train": "train", "val": "test"}
ALL = "all"
"""The name of the only part of a dataset."""
# Attributes of datasets that name the folder with all of their files, in full or below the root.
_FOLDERS = ("_base_folder", "base_folder", "_size_root", "_data_dir", "_data_path")


class TorchvisionImages:
    """One split of a dataset, or all of it. Every process opens it itself."""

    def __init__(self, name: str, root: Path, split: str) -> None:
        self.name, self.root = name, root
        self._dataset, self.split = _open(name, root, split)
        self._part = split
        self.labels = _labels_of(self._dataset, name)
        self.classes = _classes_of(self._dataset, self.labels)

    def __reduce__(self) -> tuple[type["TorchvisionImages"], tuple[str, Path, str]]:
        return TorchvisionImages, (self.name, self.root, self._part)

    @property
    def folder(self) -> Path:
        """The folder of the dataset's own files. If it is unknown, the root, which others share."""
        found = [getattr(self._dataset, name, None) for name in _FOLDERS]
        if isinstance(raw := getattr(self._dataset, "raw_folder", None), str):
            found.append(Path(raw).parent)  # MNIST's; old files are in `processed` beside it
        for folder in (self.root / one for one in found if isinstance(one, str | Path)):
            if self.root in folder.parents and folder.is_dir():
                return folder
        return self.root

    def image(self, row: int) -> UInt8[Tensor, "3 h w"]:
        """Return one image, or raise ``DataError``, whose text is the reason, if it is damaged."""
        try:
            picture, _ = self._dataset[row]
            image: Tensor = pixels.pil_to_tensor(upright(picture).convert("RGB"))
        except Exception as error:  # Pillow raises many kinds for a damaged file
            raise DataError(f"{type(error).__name__}: {error}") from error
        return image


def open_torchvision(name: str, root: Path) -> list[TorchvisionImages]:
    """Return the train and val parts of the dataset ``name`` below ``root``, or its only part.

    Raises:
        ConfigError: torchvision has no such dataset, or it has no classes, or not both parts.
        DataError: its files are missing or damaged.
    """
    first = TorchvisionImages(name, root, "train")
    return [first] if first.split == ALL else [first, TorchvisionImages(name, root, "val")]


def _open(name: str, root: Path, split: str) -> tuple[Any, str]:
    """Return one part of a dataset, and its name: `train`, what it calls val, or ``ALL``."""
    kind = getattr(torchvision.datasets, name, None)
    if name not in torchvision.datasets.__all__ or kind is None:
        raise ConfigError(
            f"torchvision has no dataset {name!r}.{nearest(name, torchvision.datasets.__all__)}"
        )
    known = signature(kind).parameters
    options: dict[str, Any] = {"download": False} if "download" in known else {}
    try:
        if "train" in known:
            return kind(str(root), train=split == "train", **options), _NAMES[split]
        if "split" not in known:
            return kind(str(root), **options), ALL
        for word in _SPLITS[split]:
            try:
                data = kind(str(root), split=word, **options)
                return data, split if split == "train" else word
            except ValueError:  # this dataset has another name for the part
                continue
    except (TypeError, ImportError) as error:
        raise ConfigError(
            f"torchvision's {name} cannot be opened as labelled images by its name and folder "
            f"alone: {error}."
        ) from error
    except (RuntimeError, OSError) as error:
        reason = str(error).split(". ")[0]  # the rest explains how to download it
        raise DataError(
            f"torchvision cannot read {name} in {root}: {reason}. vidmoco downloads no data."
        ) from error
    raise ConfigError(f"torchvision's {name} has none of the parts {', '.join(_SPLITS[split])}.")


def _labels_of(dataset: Any, name: str) -> list[int]:
    """Return the class of every image, without decoding any."""
    for attribute in ("targets", "labels", "_labels", "y"):
        found = getattr(dataset, attribute, None)
        if found is not None and len(found) == len(dataset) and np.ndim(found) == 1:
            numbers = np.asarray(found)
            if np.issubdtype(numbers.dtype, np.integer):
                return [int(label) for label in numbers]
    samples = getattr(dataset, "_samples", None) or getattr(dataset, "samples", None)
    if samples is not None and len(samples) == len(dataset):
        return [int(label) for _, label in samples]
    raise ConfigError(
        f"torchvision's {name} gives the classes of its images only by reading them all. Give its "
        "images in folders: train/CLASS/x.jpg and val/CLASS/y.jpg."
    )


def _classes_of(dataset: Any, labels: list[int]) -> tuple[str, ...]:
    names = getattr(dataset, "classes", getattr(dataset, "categories", None))
    count = max(labels) + 1
    if isinstance(names, list | tuple) and len(names) >= count:
        words = [", ".join(name) if isinstance(name, tuple) else str(name) for name in names]
        # ImageNet has two that are called crane: a bird and a machine.
        times = Counter(words)
        return tuple(f"{one} ({n})" if times[one] > 1 else one for n, one in enumerate(words))
    return tuple(str(label) for label in range(count))
