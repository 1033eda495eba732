import json
import pickle

import pytest

from vidmoco.errors import ConfigError, DataError
from vidmoco.images.class_notes import notes_of
from vidmoco.images.listed import metadata_of
from vidmoco.images.load import load_labelled_images


def lines_of(folder, split):
    """Return path and class of each image of a part, without its name."""
    files = sorted((folder / split).rglob("*.png"))
    return [(file.relative_to(folder).as_posix(), file.parent.name) for file in files]


def write(path, rows, header=("path", "label")):
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
    return path


@pytest.fixture
def images(make_images):
    """Images whose folders do not tell that they are train and val."""
    folder = make_images()
    for split, name in (("train", "a"), ("val", "b")):
        (folder / split).rename(folder / name)
    return folder


def check_colours(*parts):
    for part in parts:
        assert part.classes == ("blue", "green", "red")
        for image, label in (part[n] for n in range(len(part))):
            assert image.float().mean(dim=(1, 2)).argmax() == 2 - label


def test_a_list_for_each_part(images):
    for name, split in (("train", "a"), ("val", "b")):
        # Of two lists, neither says what is val. Columns of nothing are no columns.
        rows = [(*row, "3", "", "") for row in lines_of(images, split)]
        write(images / f"{name}.csv", rows, ("path", "label", "split", "video", "group"))
    train, val = load_labelled_images(images)
    assert train.videos is None and train.groups is None
    assert (len(train), len(val), val.split, val.drawn_share) == (18, 9, "val", None)
    assert train.names[0] == "a/blue/0.png"
    check_colours(train, val, pickle.loads(pickle.dumps(train)))


@pytest.mark.parametrize("given", ["the file", "the folder"])
def test_one_list(images, given):
    path = write(images / "all.csv", lines_of(images, "a"))
    (images / "a").rename(images / "pictures")
    path.write_text(path.read_text().replace("a/", "pictures/"))
    for file in (images / "b").rglob("*.png"):
        file.unlink()
    train, val = load_labelled_images(path if given == "the file" else images)
    assert (len(train), len(val), val.drawn_share) == (12, 6, 0.3)
    check_colours(train, val)


def test_a_column_says_the_part(images):
    rows = [(f" {path}", f"{label} ", " Train ") for path, label in lines_of(images, "a")]
    rows += [(*row, "validation") for row in lines_of(images, "b")]
    path = write(images / "all.csv", rows, ("file_name", "label", "split"))
    train, val = load_labelled_images(path)
    assert (len(train), len(val), val.split, val.drawn_share) == (18, 9, "validation", None)
    check_colours(train, val)
    write(path, [*rows, ("x.png", "red", "test")], ("file_name", "label", "split"))
    assert len(load_labelled_images(path)[1]) == 9  # as of folders, the first of the names
    write(path, rows[:18], ("path", "label", "split"))
    assert load_labelled_images(path)[1].drawn_share == 0.3
    for some, message in ((rows[18:], "no row of train"), ([*rows, ("x", "red", "3")], "has '3'")):
        write(path, some, ("path", "label", "split"))
        with pytest.raises(DataError, match=rf"Column 'split' .*{message}; expected train, "):
            load_labelled_images(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_metadata_as_datasets_reads_it(images, suffix):
    for name, split in (("a", "train"), ("b", "test")):
        rows = []
        (images / split).mkdir()
        for number, (path, label) in enumerate(lines_of(images, name)):
            (images / path).rename(images / split / f"{number}.png")
            rows.append((f"{number}.png", label))
        path = images / split / f"metadata{suffix}"
        write(path, rows, ("file_name", "label"))
        if suffix == ".jsonl":
            found = [{"file_name": file, "label": label, "boxes": [[1, 2]]} for file, label in rows]
            path.write_text("\n".join(map(json.dumps, found)) + "\n\n")
    train, test = load_labelled_images(images)
    assert (train.names[0], test.names[0], test.split) == ("train/0.png", "test/0.png", "test")
    assert (len(train), len(test)) == (18, 9)
    check_colours(train, test)
    assert metadata_of(images / "train", label="kind") is None


def test_metadata_without_labels_leaves_the_folders_to_say_the_classes(make_images):
    folder = make_images()
    write(folder / "train" / "metadata.csv", [("red/0.png", "a red one")], ("file_name", "text"))
    train, _ = load_labelled_images(folder)
    assert len(train) == 18


def test_numbers_groups_and_missing_files(images):
    rows = [
        (path, str(["blue", "green", "red"].index(label) * 9), f"{label}{n % 3}")
        for n, (path, label) in enumerate(lines_of(images, "a"))
    ]
    path = write(images / "all.csv", [*rows, ("gone.png", "0", "x")], ("path", "label", "group"))
    train, val = load_labelled_images(path)
    assert train.classes == ("0", "9", "18") and train.classes_are_numbers
    assert not {*train.groups} & {*val.groups}
    assert "groups were drawn" in notes_of(train, val)[0]
    for part in (train, val):
        for row in (n for n, name in enumerate(part.names) if name == "gone.png"):
            with pytest.raises(DataError, match="No such file"):
                part[row]
    write(path, [*rows, ("a/x.png", "0", "")], ("path", "label", "group"))
    with pytest.raises(DataError, match=r"1 row of .* without a 'group'"):
        load_labelled_images(path)


def test_names_in_the_folder_that_is_called_like_the_list(images):
    (images / "train").mkdir()
    rows = []
    for number, (path, label) in enumerate(lines_of(images, "a")):
        (images / path).rename(images / "train" / f"{number}.png")
        rows.append((f"{number}.png", label))
    path = write(images / "train.csv", rows)
    check_colours(*load_labelled_images(path))


def test_paths_as_windows_writes_them(images):
    rows = [(path.replace("/", "\\"), label) for path, label in lines_of(images, "a")]
    check_colours(*load_labelled_images(write(images / "all.csv", rows)))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ConfigError, "all.csv is empty. Expected a row for each image, with path and label"),
        ("pth,label\na,b\n", ConfigError, "no column 'path'. Did you mean 'pth'.*Expected a row"),
        ("path,lable\na,b\n", ConfigError, "'label'. Did you mean 'lable'.*--label-column"),
        ("a/0.png,red\na/1.png,red\n", ConfigError, "first line, 'a/0.png', was read as the names"),
        ("path,label\na\n", ConfigError, "line 2 has not as many fields"),
        ("path,label\n", DataError, "has no images: it has no rows"),
        ("path,label\na,x\na,y\n", DataError, "lists 'a' 2 times; .* Several labels of an image"),
        ("path,label\na,x\nb,\n", DataError, "1 row of .* without a 'label'"),
        ("path,label\na.mp4,x\n", DataError, "lists videos, such as 'a.mp4'.*--videos.labels"),
        (
            "path,label\na/z.png,x\n",
            DataError,
            "No image of .*there is no .*a/z.png. Exp",
        ),
    ],
)
def test_lists_that_cannot_be_used(images, text, error, message):
    path = images / "all.csv"
    path.write_text(text)
    with pytest.raises(error, match=message):
        load_labelled_images(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"path": "a"', "Line 1 of .* is not JSON"),
        ("[1]", "Line 1 of .* is no JSON object"),
        ('{"path": "a", "label": ["x", "y"]}', "'label' of .* has lists; .*Several labels"),
    ],
)
def test_json_lines_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "all.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        load_labelled_images(tmp_path / "all.jsonl")
