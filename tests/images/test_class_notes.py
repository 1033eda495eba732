import pytest

from vidmoco.images.class_notes import absent_warning, numbers_warning
from vidmoco.images.labelled import load_labelled_images


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([3, 1, 2], ""),
        ([3, 0, 2], "1 class is only in train, and in val a possible wrong answer: 'green'."),
        ([0, 0, 2], "2 classes are only in train, and in val a possible wrong answer: 'blue', "),
    ],
)
def test_classes_of_train_alone_are_told(make_images, counts, expected):
    train, val = load_labelled_images(make_images())
    assert absent_warning(val, counts).startswith(expected)
    assert bool(absent_warning(val, counts)) == bool(expected)
    assert numbers_warning(train, val) == ""  # they have names
