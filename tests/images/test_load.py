import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from vidmoco.errors import ConfigError, DataError
from vidmoco.images.load import load_labelled_images


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
    (folder / "val").rename(folder / "valset")
    called = "a folder, .parquet or .csv called"
    with pytest.raises(
        ConfigError,
        match=rf"no validation part: {called} val, .*, test or testing. It has: train, valset",
    ):
        load_labelled_images(folder)
    (folder / "train").rename(folder / "trainset")
    (folder / "valset").rename(folder / "val")
    with pytest.raises(
        ConfigError, match=rf"has no training part: {called} train or training. It has: trainset"
    ):
        load_labelled_images(folder)
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "flat" / "a.png")
    with pytest.raises(ConfigError, match=r"It has: a.png. .*a folder of images for each class"):
        load_labelled_images(tmp_path / "flat")


def of_one_part(folder, kind):
    """Bring the training images of ``folder`` into the form that ``kind`` names."""
    shutil.rmtree(folder / "val")
    if kind == "train alone":
        (folder / "notes.txt").touch()
        return folder
    if kind == "class folders":
        (folder / "train" / "notes.txt").touch()
        return folder / "train"
    train = load_labelled_images(folder, val_share=0.01)[0]
    rows = {"image": [], "label": []}
    for path, label in zip(train.source.paths, [0] * 6 + [1] * 6 + [2] * 6, strict=True):
        rows["image"].append(path.read_bytes())
        rows["label"].append(train.classes[label])
    table = pa.table(rows)
    paths = {
        "a file": ["birds.parquet"],
        "shards": ["0.parquet", "1.parquet"],
        "shards of train": [f"data/train-0000{n}-of-00002.parquet" for n in range(2)],
    }[kind]
    for number, name in enumerate(paths):
        path = folder / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table[number * 9 : 9 * (number + 1) if len(paths) > 1 else 18], path)
    return folder / "set" / "birds.parquet" if kind == "a file" else folder / "set"


@pytest.mark.parametrize(
    "kind", ["train alone", "class folders", "a file", "shards", "shards of train"]
)
def test_val_is_drawn_from_images_that_come_in_one_part(make_images, kind):
    path = of_one_part(make_images(), kind)
    train, val = load_labelled_images(path)
    assert (train.split, val.split) == ("train", "val")
    assert train.classes == val.classes == ("blue", "green", "red")
    assert train.labels.bincount().tolist() == [4, 4, 4]
    assert val.labels.bincount().tolist() == [2, 2, 2]
    assert len({*train.names, *val.names}) == 18
    for images in (train, val):
        for image, label in (images[n] for n in range(len(images))):
            assert image.float().mean(dim=(1, 2)).argmax() == 2 - label  # blue is class 0
    half = load_labelled_images(path, val_share=0.5, seed=1)[1]
    assert half.labels.bincount().tolist() == [3, 3, 3]
    assert load_labelled_images(path, val_share=0.5, seed=2)[1].names != half.names
    assert load_labelled_images(path, max_train_per_class=1)[1].names == val.names


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


def test_real_folders(real_data):
    train, val = load_labelled_images(real_data / "images" / "tiny_imagenet_mini")
    assert (len(train), len(val), len(train.classes)) == (6250, 1250, 25)
    assert train[100][0].shape == (3, 64, 64)
