from dataclasses import replace

import pytest

from vidmoco.images.class_notes import notes_of
from vidmoco.images.load import load_labelled_images


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([3, 1, 2], []),
        ([3, 0, 2], ["1 class is only in train, and in val a possible wrong answer: 'green'."]),
        ([0, 0, 2], ["2 classes are only in train, and in val a possible wrong answer: 'blue', "]),
    ],
)
def test_classes_of_train_alone_are_told(make_images, counts, expected):
    train, val = load_labelled_images(make_images())
    notes = notes_of(train, val, counts)  # they have names
    assert len(notes) == len(expected)
    assert all(note.startswith(one) for note, one in zip(notes, expected, strict=True))


def test_a_val_part_that_was_drawn_is_told(make_images):
    train, val = load_labelled_images(make_images() / "train", val_share=0.25)
    (note,) = notes_of(train, val, [2, 2, 2])
    assert note == (
        "The images come without a val part: about 25% of each class's images were drawn for it."
    )
    of_videos = replace(val, videos=["a"] * len(val))
    assert "25% of each class's videos" in notes_of(train, of_videos, [2, 2, 2])[0]
