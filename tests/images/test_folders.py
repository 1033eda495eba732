import pytest

from vidmoco.errors import ConfigError
from vidmoco.images.folders import files_below, find_parts, holds_videos


def test_videos_are_told_from_images(tmp_path):
    assert not holds_videos(tmp_path)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "notes.txt").touch()
    assert not holds_videos(tmp_path)
    (deep / "a.gif").touch()
    assert not holds_videos(tmp_path)
    (deep / "x.MP4").touch()
    assert holds_videos(tmp_path)
    (tmp_path / "train.parquet").touch()
    assert not holds_videos(tmp_path)
    (tmp_path / "train.parquet").unlink()
    (tmp_path / "cover.jpg").touch()
    assert not holds_videos(tmp_path)


def test_a_link_to_a_folder_above_is_not_followed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [file.name for file in files_below(tmp_path)] == ["1.png"]


def files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("train", "val", "called"),
    [
        ("Training/cat/1.png", "Testing/cat/1.png", ("train", "test")),
        ("TRAIN/cat/1.png", "VAL/cat/1.png", ("train", "val")),
        ("training/cat/1.png", "validation/cat/1.png", ("train", "validation")),
        ("Train.parquet", "Dev.parquet", ("train", "dev")),
        ("Training.PARQUET", "Test.csv", ("train", "test")),
        ("TRAIN-00000-of-00001.parquet", "valid_0.parquet", ("train", "valid")),
        ("train/0.parquet", "val/0.parquet", ("train", "val")),
        ("train/data-00000-of-00001.arrow", "test/data-00000-of-00001.arrow", ("train", "test")),
        ("data/Train/cat/1.png", "data/Test/cat/1.png", ("train", "test")),
        ("train.csv", "val.jsonl", ("train", "val")),
    ],
)
def test_parts_by_the_names_that_people_give(tmp_path, train, val, called):
    files(tmp_path, train, val)
    first, second = find_parts(tmp_path)
    assert called == (first[0].removesuffix("ing"), second[0].removesuffix("ing"))
    for part, name in ((first, train), (second, val)):
        assert part[1][0] in {tmp_path / name, *(tmp_path / name).parents}


@pytest.mark.parametrize(
    "names",
    [
        ("Train/1.png", "Bus/1.png", "Car/1.png"),
        ("Test/1.png", "Bus/1.png", "Car/1.png"),
        ("Train/1.png", "Test/1.png", "Bus/1.png"),
        ("cat/1.png", "dog/1.png", "train.csv"),
        ("cat/1.png", "dog/1.png", "test.csv"),
        ("cat/1.png", "dog/1.png", "notes.csv", "results.csv"),
    ],
)
def test_classes_that_are_called_like_parts_stay_classes(tmp_path, names):
    files(tmp_path, *names)
    assert find_parts(tmp_path) == (("all", [tmp_path]), None)


@pytest.mark.parametrize("name", ["train", "val"])
def test_a_part_without_classes_is_no_class(tmp_path, name):
    files(tmp_path, f"{name}/1.png", "bus/1.png", "car/1.png")
    with pytest.raises(ConfigError, match=r"has no (training|validation) part"):
        find_parts(tmp_path)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("labels.csv", "images/1.png"), "labels.csv"),
        (("labels.csv", "images/a/1.png", "images/b/1.png"), "labels.csv"),
        (("metadata.jsonl", "1.png", "2.png"), "metadata.jsonl"),
        (("metadata.csv", "other.csv", "1.png"), "metadata.csv"),
        (("train.csv", "images/1.png"), "train.csv"),
        (("train.csv", "train/1.png"), "train.csv"),
        (("train.csv", "train/cat/1.png"), "train"),
        (("train.csv", "train/metadata.csv", "train/1.png"), "train"),
        (("data-00000-of-00001.arrow", "state.json", "cache-1.arrow"), "data-00000-of-00001.arrow"),
    ],
)
def test_a_list_or_a_table_alone(tmp_path, names, found):
    files(tmp_path, *names)
    (_, paths), val = find_parts(tmp_path)
    assert (paths, val) == ([tmp_path / found], None)


def test_several_lists_are_not_guessed_from(tmp_path):
    files(tmp_path, "a.csv", "b.csv", "images/1.png")
    with pytest.raises(ConfigError, match=r"It has: a.csv, b.csv, images\. Give .* or one list"):
        find_parts(tmp_path)
