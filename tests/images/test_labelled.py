import pytest
import torch

from vidmoco.errors import DataError
from vidmoco.images.load import load_labelled_images


def test_a_subset_has_the_images_in_the_given_order(make_images):
    train, _ = load_labelled_images(make_images())
    some = train.subset([13, 0])
    assert some.names == [train.names[13], train.names[0]]
    for index, row in enumerate([13, 0]):
        assert torch.equal(some[index][0], train[row][0]) and some[index][1] == train[row][1]
    assert some.source.sizes().shape == (18,)  # rows are of the source


def test_a_file_that_vanished_is_refused_when_read(make_images):
    folder = make_images()
    train, _ = load_labelled_images(folder)
    (folder / "train" / "blue" / "0.png").unlink()
    with pytest.raises(DataError, match="FileNotFoundError"):
        train[0]
