import shutil

import pytest
import torch
from PIL import Image

from vidmoco.errors import ConfigError, DataError
from vidmoco.images.labelled import at_most_per_class, load_labelled_images


def test_folders_of_classes(make_images):
    train, val = load_labelled_images(make_images())
    assert train.classes == val.classes == ("blue", "green", "red")
    assert train.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert (len(train), len(val)) == (18, 9)
    assert train.names[7] == "train/green/1.png"
    image, label = train[7]
    assert image.shape == (3, 20, 25)
    assert image.dtype == torch.uint8
    assert label == 1
    assert image.float().mean(dim=(1, 2)).argmax() == 1  # it is green


def test_test_stands_for_val_and_images_may_lie_deeper(make_images):
    folder = make_images()
    (folder / "val").rename(folder / "test")
    (folder / "train" / "red" / "images" / "more").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(folder / "train" / "red" / "images" / "more" / "X.JPEG")
    train, test = load_labelled_images(folder)
    assert test.split == "test"
    assert "train/red/images/more/X.JPEG" in train.names


def test_other_and_hidden_files_are_no_images_and_the_others_are_counted(make_images):
    folder = make_images()
    for name in ("train/red/notes.txt", "train/readme.md", "train/red/.DS_Store"):
        (folder / name).write_text("x")
    (folder / "train" / ".hidden").mkdir()
    train, val = load_labelled_images(folder)
    assert len(train) == 18
    assert (train.num_other_files, val.num_other_files) == (2, 0)


def test_a_link_to_a_folder_above_ends(make_images):
    folder = make_images()
    (folder / "train" / "red" / "loop").symlink_to(folder / "train" / "red")
    train, _ = load_labelled_images(folder)
    assert len(train) == 18


def test_wrong_folders(make_images, tmp_path):
    with pytest.raises(ConfigError, match=r"No such folder of images: .*nowhere"):
        load_labelled_images(tmp_path / "nowhere")
    folder = make_images()
    with pytest.raises(
        ConfigError, match=r"has no train/ or train.parquet. It has: blue, green, red"
    ):
        load_labelled_images(folder / "train")
    shutil.rmtree(folder / "val")
    with pytest.raises(ConfigError, match=r"has no val/ or val.parquet or test/ or test.parquet"):
        load_labelled_images(folder)


def test_classes_of_one_part_only_are_named(make_images):
    folder = make_images()
    (folder / "val" / "red").rename(folder / "val" / "rot")
    with pytest.raises(DataError, match=r"only in train: 'red'; only in val: 'rot'.*needs images"):
        load_labelled_images(folder)


def test_a_class_of_train_alone_is_kept(make_images):
    folder = make_images()
    shutil.rmtree(folder / "val" / "green")
    train, val = load_labelled_images(folder)
    assert train.classes == val.classes == ("blue", "green", "red")
    assert val.labels.bincount(minlength=3).tolist() == [3, 0, 3]


def test_a_class_without_images_is_named(make_images):
    folder = make_images()
    for file in (folder / "val" / "red").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="val/red has no images"):
        load_labelled_images(folder)


def test_images_without_class_folders_are_refused(make_images):
    folder = make_images()
    shutil.rmtree(folder / "train")
    (folder / "train").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "train" / "a.png")
    with pytest.raises(DataError, match=r"has no class folders with images; expected .*CLASS"):
        load_labelled_images(folder)


def test_one_class_is_not_enough(make_images):
    folder = make_images()
    for split in ("train", "val"):
        shutil.rmtree(folder / split / "red")
        shutil.rmtree(folder / split / "blue")
    with pytest.raises(DataError, match=r"one class only \('green'\)"):
        load_labelled_images(folder)


def test_a_file_that_vanished_is_refused_when_read(make_images):
    folder = make_images()
    train, _ = load_labelled_images(folder)
    (folder / "train" / "blue" / "0.png").unlink()
    with pytest.raises(DataError, match="FileNotFoundError"):
        train[0]


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


def test_real_folders(real_data):
    train, val = load_labelled_images(real_data / "images" / "tiny_imagenet_mini")
    assert (len(train), len(val), len(train.classes)) == (6250, 1250, 25)
    assert train[100][0].shape == (3, 64, 64)
