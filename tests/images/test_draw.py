import shutil
from dataclasses import replace

import pytest
import torch

from vidmoco.errors import DataError
from vidmoco.images.draw import at_most_per_class, draw_val, with_drawn_val
from vidmoco.images.load import load_labelled_images


def test_at_most_per_class_is_seeded_and_takes_all_of_small_classes(make_images):
    folder = make_images()
    for i in range(4):
        (folder / "train" / "red" / f"{i}.png").unlink()
    train, _ = load_labelled_images(folder)
    small = at_most_per_class(train, 4, seed=1)
    assert small.labels.bincount().tolist() == [4, 4, 2]
    assert len(set(small.names)) == 10
    assert small.names == at_most_per_class(train, 4, seed=1).names
    assert small.names != at_most_per_class(train, 4, seed=2).names
    for index in (0, 9):
        image, label = small[index]
        original = train.names.index(small.names[index])
        assert torch.equal(image, train[original][0])
        assert label == int(train.labels[original])
    via_load, val = load_labelled_images(folder, max_train_per_class=4, seed=1)
    assert via_load.names == small.names
    assert len(val) == 9


def test_at_most_per_class_depends_on_names_not_on_their_order(make_images):
    train, _ = load_labelled_images(make_images())
    turned = train.subset(list(reversed(range(len(train)))))
    chosen = (at_most_per_class(images, 2, seed=0) for images in (train, turned))
    assert len({frozenset(images.names) for images in chosen}) == 1


@pytest.mark.parametrize("attribute", ["groups", "videos"])
def test_a_group_goes_to_one_part(make_images, attribute):
    images, _ = load_labelled_images(make_images())
    # Three of a class, of two images each.
    groups = [name.split("/")[1] + str(int(name[-5]) // 2) for name in images.names]
    given = replace(images, **({"videos": images.names} | {attribute: groups}))
    for seed in range(3):
        train, val = with_drawn_val(given, share=0.3, seed=seed)
        assert val.labels.bincount().tolist() == [2, 2, 2]
        assert not set(getattr(train, attribute)) & set(getattr(val, attribute))
        assert (val.drawn_share, train.drawn_share) == (0.3, None)


def test_the_order_on_the_disk_does_not_matter(make_images):
    images, _ = load_labelled_images(make_images())
    turned = images.subset(list(reversed(range(len(images)))))
    drawn = [with_drawn_val(some, share=0.5, seed=3)[1] for some in (images, turned)]
    assert {*drawn[0].names} == {*drawn[1].names}


def test_a_class_of_one_image_stays_in_train(make_images):
    images, _ = load_labelled_images(make_images())
    train, val = with_drawn_val(images.subset([0, 6, 7, 12, 13]), share=0.9, seed=0)
    assert train.labels.tolist() == [0, 1, 2]
    assert val.labels.bincount(minlength=3).tolist() == [0, 1, 1]


def test_nothing_left_for_val_is_told(make_images):
    folder = make_images(train=1)
    shutil.rmtree(folder / "val")
    with pytest.raises(DataError, match=r"No class has more than one image.* give a val part"):
        load_labelled_images(folder)
    images, _ = load_labelled_images(make_images(name="more"))
    groups = [name.split("/")[1] for name in images.names]
    for attribute in ("group", "video"):
        alike = replace(images, **{f"{attribute}s": groups})
        with pytest.raises(DataError, match=f"No class has more than one {attribute}, so none can"):
            with_drawn_val(alike, share=0.3, seed=0)


def test_a_class_whose_groups_were_all_drawn_by_others_is_named(make_images):
    images, _ = load_labelled_images(make_images())
    some = replace(images.subset([0, 1, 6, 7, 12, 13]), groups=["1", "2", "1", "3", "2", "3"])
    told = 0
    for seed in range(20):
        try:
            train, _ = with_drawn_val(some, share=0.3, seed=seed)
        except DataError as error:
            assert "All groups of red" in str(error) and "--val-share" in str(error)
            told += 1
        else:
            assert set(train.labels.tolist()) == {0, 1, 2}
    assert 0 < told < 20


def test_a_share_of_each_class_is_drawn():
    units = {name: {f"{name}{n}" for n in range(20)} for name in "abc"}
    val = draw_val(units, share=0.3, seed=0)
    assert sorted(unit[0] for unit in val) == ["a"] * 6 + ["b"] * 6 + ["c"] * 6
    assert val != draw_val(units, share=0.3, seed=1)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("names", ["ab", "ba"])
def test_the_rarest_class_chooses_first(names, seed):
    """So the other one takes nothing back from it."""
    rare, large = names
    val = draw_val({large: {*"0123456789"}, rare: {*"01"}}, share=0.5, seed=seed)
    assert (len(val), len(val & {*"01"})) == (5, 1)
