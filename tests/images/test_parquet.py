import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from parquet_files import as_datasets_writes, png

from vidmoco.errors import DataError
from vidmoco.images import parquet as image_parquet
from vidmoco.images.class_notes import notes_of
from vidmoco.images.equal_images import find_equal_images
from vidmoco.images.load import load_labelled_images
from vidmoco.images.parquet import ParquetImages


def write(folder, split, labels, *, images=None, classes=None, rows_per_group=3, **columns):
    folder.mkdir(exist_ok=True)
    if images is None:
        images = [{"bytes": png(i), "path": f"{i}.png"} for i in range(len(labels))]
    table = pa.table({"image": images, "label": labels} | columns)
    if classes is not None:
        table = table.replace_schema_metadata({"classes": classes})
    pq.write_table(table, folder / f"{split}.parquet", row_group_size=rows_per_group)


def test_numbers_without_names_are_told(tmp_path):
    write(tmp_path, "train", [0, 1])
    write(tmp_path, "val", [1, 0])
    (note,) = notes_of(*load_labelled_images(tmp_path), [1, 1])
    assert "taken for the same class in both" in note
    # datasets' ClassLabel(num_classes=2)
    as_datasets_writes(tmp_path / "val.parquet", [1, 0], ["0", "1"])
    assert notes_of(*load_labelled_images(tmp_path), [1, 1]) == [note]
    as_datasets_writes(tmp_path / "val.parquet", [1, 0], ["cat", "dog"])
    with pytest.raises(DataError, match=r"only in val: 'cat', 'dog'.* train numbers its classes"):
        load_labelled_images(tmp_path)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train-{n:05d}-of-00002.parquet", "val-{n:05d}-of-00002.parquet"),
        ("data/train-{n:05d}-of-00002-0123456789abcdef.parquet", "data/test-{n:05d}-of-2.parquet"),
        ("train/{n:04d}.parquet", "valid/{n:04d}.parquet"),
        ("train_{n}.parquet", "validation.{n}.parquet"),
    ],
)  # fmt: skip
def test_shards(tmp_path, train, val):
    as_datasets_writes(tmp_path / train.format(n=0), [0, 1], ["cat", "dog"])
    as_datasets_writes(tmp_path / train.format(n=1), [0, 1, 1], ["dog", "cat"])
    for n in range(2):
        as_datasets_writes(tmp_path / val.format(n=n), [n], ["cat", "dog"])
    found, others = load_labelled_images(tmp_path)
    assert found.classes == ("cat", "dog")
    assert (found.labels.tolist(), others.labels.tolist()) == ([0, 1, 1, 0, 0], [0, 1])
    assert [int(found[row][0][0, 0, 0]) for row in (4, 0, 2)] == [2, 0, 0]
    assert found.names[3] == f"{(tmp_path / train.format(n=1)).name} row 00000001 (1.png)"
    again = pickle.loads(pickle.dumps(found))
    assert (again[4][0] == 2).all()


def test_a_missing_shard_is_told(tmp_path):
    for n in (0, 2):
        as_datasets_writes(tmp_path / f"train-0000{n}-of-00003.parquet", [0, 1], ["cat", "dog"])
    write(tmp_path, "val", ["cat", "dog"])
    with pytest.raises(DataError, match="not hold one whole set of shards: 2 of 3, 'train-00000"):
        load_labelled_images(tmp_path)


def test_shards_that_do_not_agree(tmp_path):
    write(tmp_path, "val", [0, 1])
    write(tmp_path / "train", "a", [0, 1])
    as_datasets_writes(tmp_path / "train" / "b.parquet", [0, 1], ["cat", "dog"])
    with pytest.raises(DataError, match="name their classes, and others only number them"):
        load_labelled_images(tmp_path)
    write(tmp_path / "train", "b", [10, 2], video=["x", "y"])
    with pytest.raises(DataError, match=r"Only some of the shards .*train have a column 'video'"):
        load_labelled_images(tmp_path)
    write(tmp_path / "train", "b", [10, 2])
    write(tmp_path, "val", [0, 1, 2, 10])
    assert load_labelled_images(tmp_path)[0].classes == ("0", "1", "2", "10")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([True, False, True], ("false", "true")),
        ([3.0, 0.0, 3.0], ("0", "3")),
        (pa.array([1, 10, 2], pa.float16()), ("1", "2", "10")),
    ],
)
def test_labels_as_other_programs_write_them(tmp_path, labels, classes):
    for split in ("train", "val"):
        write(tmp_path, split, labels)
    train, _ = load_labelled_images(tmp_path)
    assert train.classes == classes
    assert train.classes_are_numbers == (classes[0] != "false")
    names = [str(one.as_py()).lower().removesuffix(".0") for one in pa.array(labels)]
    assert [classes[label] for label in train.labels.tolist()] == names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0], [0, 1]], r"are list<.*Several labels of an image are not supported"),
        ([0.5, 1.0], "are double; expected whole numbers, strings or booleans.$"),
        ([1e300, 1.0], "are double; expected whole numbers"),
        ([float("inf"), 1.0], "are double; expected whole numbers"),
        ([float("nan"), 1.0], "1 rows of .* have no label"),
    ],
)
def test_labels_that_are_none(tmp_path, labels, message):
    write(tmp_path, "train", labels)
    with pytest.raises(DataError, match=message):
        load_labelled_images(tmp_path)


def test_paths_of_images(make_images):
    folder = make_images()
    for split in ("train", "val"):
        files = sorted(file.relative_to(folder) for file in (folder / split).rglob("*.png"))
        labels = [file.parent.name for file in files]
        write(folder / "set", split, labels, images=[f"../{file}" for file in files])
    train, val = load_labelled_images(folder / "set")
    assert (len(train), len(val)) == (18, 9)
    assert train.names[0] == "../train/blue/0.png"
    assert train[0][0].float().mean(dim=(1, 2)).argmax() == 2
    write(folder / "set", "val", ["red"], images=["x.png"])
    with pytest.raises(DataError, match=r"No image of .*val.parquet is there: it lists 'x.png'"):
        load_labelled_images(folder / "set")
    write(folder / "set" / "train", "0", ["red"], images=["../../train/red/0.png"])
    write(folder / "set" / "train", "1", ["red"])
    with pytest.raises(DataError, match=r"Some of the shards of .* have images, and others only"):
        load_labelled_images(folder / "set")


def test_views_of_bytes_and_of_texts(tmp_path):
    images = pa.array([png(i) for i in range(4)], pa.binary_view())
    write(tmp_path, "train", pa.array(["a", "b"] * 2, pa.string_view()), images=images)
    inner = pa.struct([("bytes", pa.binary_view()), ("path", pa.string_view())])
    rows = [{"bytes": png(i), "path": f"{i}.png"} for i in range(2)]
    write(tmp_path, "val", ["b", "a"], images=pa.array(rows, inner))
    train, val = load_labelled_images(tmp_path)
    assert (train[3][0] == 3).all() and (val[1][0] == 1).all()
    assert find_equal_images(train, val).num_val == 2


def test_large_ids_are_shown_as_they_are(tmp_path):
    ids = np.array([2**63 + 5, 7], np.uint64)
    for split in ("train", "val"):
        write(tmp_path, split, ids)
    assert load_labelled_images(tmp_path)[0].classes == ("7", "9223372036854775813")


def test_names_that_differ_only_in_how_they_are_composed(tmp_path):
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    write(tmp_path, "train", [composed, "bar"])
    write(tmp_path, "val", [decomposed, "bar"])
    train, val = load_labelled_images(tmp_path)
    assert train.classes == val.classes == (composed, "bar")
    assert val.labels.tolist() == [0, 1]
    write(tmp_path, "val", [decomposed, composed, "bar"])
    with pytest.raises(DataError, match=r"val of .* has classes whose names look alike"):
        load_labelled_images(tmp_path)


def test_rows_in_any_order_across_row_groups(tmp_path):
    write(tmp_path, "train", [0, 1] * 5)
    write(tmp_path, "test", [1, 0])
    train, test = load_labelled_images(tmp_path)
    for row in (9, 0, 5, 4, 3, 9):
        image, label = train[row]
        assert (image == row).all()
        assert label == row % 2
    assert train.classes == ("0", "1")
    assert (test.split, test.labels.tolist()) == ("test", [1, 0])


def test_a_copy_for_a_worker_opens_the_file_again(tmp_path):
    write(tmp_path, "train", [0, 1] * 3)
    write(tmp_path, "val", [1, 0])
    train, _ = load_labelled_images(tmp_path)
    assert torch.equal(train[4][0], pickle.loads(pickle.dumps(train))[4][0])


@pytest.mark.parametrize("classes", ["cat,dog", '["cat", "dog"]', " cat, dog "])
def test_class_names_from_the_metadata(tmp_path, classes):
    write(tmp_path, "train", [1, 0, 1], classes=classes)
    write(tmp_path, "val", [0, 1], classes=classes)
    train, _ = load_labelled_images(tmp_path)
    assert train.classes == ("cat", "dog")
    assert train.labels.tolist() == [1, 0, 1]


def test_numbers_may_mean_other_classes_in_train_and_val(tmp_path):
    write(tmp_path, "train", [0, 1], classes="cat,dog")
    write(tmp_path, "val", [0, 0, 1], classes="dog,cat")
    train, val = load_labelled_images(tmp_path)
    assert train.classes == val.classes == ("cat", "dog")
    assert val.labels.tolist() == [1, 1, 0]


def test_string_labels_plain_and_as_dictionary(tmp_path):
    write(tmp_path, "train", ["dog", "cat", "dog"])
    write(tmp_path, "val", pa.array(["cat", "dog"]).dictionary_encode())
    train, val = load_labelled_images(tmp_path)
    assert train.classes == ("cat", "dog")
    assert (train.labels.tolist(), val.labels.tolist()) == ([1, 0, 1], [0, 1])


def test_a_class_without_images_in_both_parts_is_left_out(tmp_path):
    write(tmp_path, "train", [0, 2], classes="cat,dog,eel")
    write(tmp_path, "val", [2, 0], classes="cat,dog,eel")
    train, val = load_labelled_images(tmp_path)
    assert train.classes == ("cat", "eel")
    assert val.labels.tolist() == [1, 0]


def test_a_flat_binary_column(tmp_path):
    images = [png(i) for i in range(4)]
    write(tmp_path, "train", [0, 1, 0, 1], images=images)
    table = pa.table({"image.bytes": images, "label": [0, 1, 0, 1]})
    pq.write_table(table, tmp_path / "val.parquet")
    train, val = load_labelled_images(tmp_path)
    assert (train[3][0] == 3).all()
    assert (val[2][0] == 2).all()
    assert val.names[2] == "val.parquet row 00000002"


def test_names_tell_row_and_path(tmp_path):
    write(tmp_path, "train", [0, 1])
    write(tmp_path, "val", [0, 1])
    assert load_labelled_images(tmp_path)[0].names[1] == "train.parquet row 00000001 (1.png)"


def test_a_row_without_bytes_is_refused_when_read(tmp_path):
    images = [{"bytes": None, "path": "gone.png"}, {"bytes": png(1), "path": None}]
    write(tmp_path, "train", [0, 1], images=images)
    write(tmp_path, "val", [0, 1])
    train, _ = load_labelled_images(tmp_path)
    with pytest.raises(DataError, match="no bytes"):
        train[0]
    assert (train[1][0] == 1).all()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"image": [b"x"], "labels": [0]}, "no column 'label'. Did you mean 'labels'"),
        ({"imag": [b"x"], "label": [0]}, "no column 'image'. Did you mean 'imag'"),
        ({"image": ["text", None], "label": [0, 1]}, "1 rows of .* have no 'image'"),
        ({"image": [1.0], "label": [0]}, "'image' of .* is double; expected binary"),
        ({"image": [{"path": "a"}], "label": [0]}, "expected binary, or a struct with 'bytes'"),
        ({"image": [b"x"], "label": [0.5]}, "The labels of .* are double; expected whole numbers"),
        ({"image": [b"x", b"y"], "label": [0, None]}, "1 rows of .* have no label"),
        ({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}, "no rows"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, table, message):
    pq.write_table(pa.table(table), tmp_path / "train.parquet")
    write(tmp_path, "val", [0, 1])
    with pytest.raises(DataError, match=message):
        load_labelled_images(tmp_path)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 2], "cat,dog", "go from 0 to 2, but its metadata names 2 classes"),
        ([-1, 1], "cat,dog", "go from -1 to 1"),
        (["cat", "eel"], "cat,dog", r"does not name: \['eel'\]"),
        ([0, 1], "cat,cat", "names a class twice"),
        ([0, 1], "[cat", "not a JSON list"),
    ],
)
def test_labels_that_do_not_fit_the_metadata(tmp_path, labels, classes, message):
    write(tmp_path, "train", labels, classes=classes)
    write(tmp_path, "val", [0, 1])
    with pytest.raises(DataError, match=message):
        load_labelled_images(tmp_path)


def test_a_file_that_is_no_parquet(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"hello")
    write(tmp_path, "val", [0, 1])
    with pytest.raises(DataError, match=r"Cannot read .*train.parquet as Parquet"):
        load_labelled_images(tmp_path)


def test_real_parquet(real_data):
    train, test = load_labelled_images(real_data / "images" / "cifar10", max_train_per_class=10)
    assert (len(train), len(test)) == (100, 10_000)
    assert train.classes[3] == "cat"
    assert np.bincount(train.labels.numpy()).tolist() == [10] * 10
    # The path inside the file names the class.
    for index in (0, 50, 99):
        image, label = train[index]
        assert image.shape == (3, 32, 32)
        assert f"train/{train.classes[label]}/" in train.names[index]


def test_another_column_may_hold_the_classes(tmp_path):
    for split in ("train", "val"):
        write(tmp_path, split, [0, 1], room=["attic", "hall"])
    train, _ = load_labelled_images(tmp_path, label_column="room")
    assert train.classes == ("attic", "hall")
    with pytest.raises(DataError, match=r"no column 'rom'. Did you mean 'room'.*--label-column"):
        load_labelled_images(tmp_path, label_column="rom")


@pytest.mark.parametrize("column", ["video", "group"])
def test_a_planted_leak_is_refused(tmp_path, column):
    write(tmp_path, "train", [0, 1], **{column: ["a", "b"]})
    write(tmp_path, "val", [0, 1], **{column: ["c", "d"]})
    train, val = load_labelled_images(tmp_path)
    assert getattr(val, f"{column}s") == ["c", "d"]
    assert getattr(train.subset([1]), f"{column}s") == ["b"]
    write(tmp_path, "val", [0, 1], **{column: ["c", "b"]})
    with pytest.raises(DataError, match=f"has 1 {column} in both train and val, such as 'b'"):
        load_labelled_images(tmp_path)


@pytest.mark.parametrize("column", ["video", "group"])
def test_a_leak_that_cannot_be_seen_is_refused(tmp_path, column):
    write(tmp_path, "train", [0, 1], **{column: ["a", None]})
    write(tmp_path, "val", [0, 1], **{column: ["c", "d"]})
    with pytest.raises(DataError, match=f"1 rows of .* have no '{column}', but others have"):
        load_labelled_images(tmp_path)
    write(tmp_path, "train", [0, 1])
    with pytest.raises(DataError, match=f"a column '{column}' only in val"):
        load_labelled_images(tmp_path)
    write(tmp_path, "train", [0, 1], **{column: pa.array([None, None], pa.string())})
    write(tmp_path, "val", [0, 1])
    assert load_labelled_images(tmp_path)[0].videos is None


def test_row_groups_are_held_within_a_limit(tmp_path, monkeypatch):
    write(tmp_path, "train", [0, 1] * 5)
    images = ParquetImages([tmp_path / "train.parquet"])
    for row in (9, 0, 5, 9, 0):
        images.read(row)
    assert list(images._held) == [1, 3, 0]
    monkeypatch.setattr(image_parquet, "_MAX_HELD_BYTES", 1)
    assert images.read(4) == png(4)
    assert images.read(6) == png(6)
    assert list(images._held) == [2]
