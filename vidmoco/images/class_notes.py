"""What is told of the classes of labelled images."""

from collections.abc import Sequence

from vidmoco.images.labelled import LabelledImages
from vidmoco.text import first_of


def numbers_warning(train: LabelledImages, val: LabelledImages) -> str:
    """Return a warning that classes are known by their numbers only, or an empty string."""
    if not (train.classes_are_numbers or val.classes_are_numbers):
        return ""
    return (
        f"Classes are numbers, which train and {val.split} name nowhere: the same number is taken "
        "for the same class in both."
    )


def absent_warning(val: LabelledImages, counts: Sequence[int]) -> str:
    """Return a warning of classes that only train has, or an empty string.

    Args:
        val: The validation images.
        counts: How many of them each class has.
    """
    absent = [name for name, count in zip(val.classes, counts, strict=True) if not count]
    if not absent:
        return ""
    what = "class is" if len(absent) == 1 else "classes are"
    return (
        f"{len(absent):,} {what} only in train, and in {val.split} a possible wrong answer: "
        f"{first_of(absent, 8)}."
    )
