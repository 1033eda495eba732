"""Draw some of a set of labelled images: at most so many of a class, or a val part."""

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import replace

import numpy as np

from vidmoco.errors import DataError
from vidmoco.images.labelled import LabelledImages


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


def with_drawn_val(
    images: LabelledImages, *, share: float, seed: int
) -> tuple[LabelledImages, LabelledImages]:
    """Return train and val, whose images are drawn from all: about ``share`` of each class.

    All of a group, or of a video, go to one part. A class of one image (or group) stays in train.
    The images are drawn by their names, so the order of files on the disk does not matter.

    Raises:
        DataError: no class has more than one image (or group), or all groups of a class are shared
            with other classes, and were drawn for val.
    """
    what = "group" if images.groups else "video" if images.videos else "image"
    units = images.groups or images.videos or images.names
    units_of: dict[str, set[str]] = defaultdict(set)
    for label, unit in zip(images.labels.tolist(), units, strict=True):
        units_of[images.classes[label]].add(unit)
    val = draw_val(units_of, share=share, seed=seed)
    if not val:
        raise DataError(
            f"No class has more than one {what}, so none can be drawn for val. Add some, or give a "
            "val part of your own, such as val/CLASS/x.jpg beside train/CLASS/y.jpg."
        )
    for name, mine in units_of.items():
        if mine <= val:
            raise DataError(
                f"All groups of {name} are shared with other classes, and were drawn for val. "
                "Give another --seed or --val-share, or a val part of your own."
            )
    in_val = np.array([unit in val for unit in units], dtype=bool)
    train_rows, val_rows = (np.flatnonzero(rows).tolist() for rows in (~in_val, in_val))
    return (
        replace(images.subset(train_rows), split="train"),
        replace(images.subset(val_rows), split="val", drawn_share=share, num_other_files=0),
    )


def draw_val(units_of: Mapping[str, Set[str]], *, share: float, seed: int) -> set[str]:
    """Return what goes to val: about ``share`` of each class, at least one, and never all.

    A unit (an image, a video or a group) may have several classes, and counts for each. Classes
    with the fewest choose first, as they have the least choice. So all units of a class may be
    taken by others, on one side.
    """
    generator = np.random.default_rng(seed)
    val: set[str] = set()
    train: set[str] = set()
    for name in sorted(units_of, key=lambda name: (len(units_of[name]), name)):
        units = units_of[name]
        wanted = min(max(1, round(share * len(units))), len(units) - 1)
        free = generator.permutation(sorted(units - val - train)).tolist()
        missing = max(0, wanted - len(units & val))
        val |= set(free[:missing])
        train |= set(free[missing:])
    return val
