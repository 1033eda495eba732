"""Notes for the user about the classes and parts of labelled images."""

from collections.abc import Sequence

import torch

from vidmoco.images.labelled import LabelledImages
from vidmoco.text import first_of


def notes_of(
    train: LabelledImages, val: LabelledImages, counts: Sequence[int] | None = None
) -> list[str]:
    """Return what a user of the two parts should know.

    Args:
        train: The training images.
        val: The validation images.
        counts: How many of them each class has, if some cannot be read.
    """
    if counts is None:
        counts = torch.bincount(val.labels, minlength=len(val.classes)).tolist()
    notes = []
    if val.drawn_share is not None:
        what = "groups" if val.groups else "videos" if val.videos else "images"
        notes.append(
            f"The images come without a val part: about {val.drawn_share:.0%} of each class's "
            f"{what} were drawn for it."
        )
    elif train.classes_are_numbers or val.classes_are_numbers:
        notes.append(
            f"Classes are numbers, which train and {val.split} name nowhere: the same number is "
            "taken for the same class in both."
        )
    absent = [name for name, count in zip(val.classes, counts, strict=True) if not count]
    if absent:
        what = "class is" if len(absent) == 1 else "classes are"
        notes.append(
            f"{len(absent):,} {what} only in train, and in {val.split} a possible wrong answer: "
            f"{first_of(absent, 8)}."
        )
    return notes
