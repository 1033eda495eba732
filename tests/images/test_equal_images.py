import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluate_runs import run

from vidmoco.images import equal_images
from vidmoco.images.equal_images import EqualImages, find_equal_images, warning_of
from vidmoco.images.labelled import ImageFiles
from vidmoco.images.load import load_labelled_images
from vidmoco.images.parquet import ParquetImages
from vidmoco.images.torchvision import TorchvisionImages

# One of val is a copy of two of train, and so is another of a third; names and classes differ.
COPIES = [("green/0", "red/2"), ("blue/1", "blue/0")]
FOUND = EqualImages(3, 2, ("train/blue/0.png", "val/blue/1.png"))


@pytest.fixture
def leaking(make_images):
    folder = make_images()
    for val, train in COPIES:
        shutil.copy(folder / "train" / f"{train}.png", folder / "val" / f"{val}.png")
    shutil.copy(folder / "train/red/2.png", folder / "train/green/5.png")
    return folder


def as_parquet(folder, split, *, group_size=4, damage=()):
    """Write a split as a Parquet file in place of its folder; ``damage``: rows without bytes."""
    files = sorted((folder / split).rglob("*.png"))
    data = [None if n in damage else file.read_bytes() for n, file in enumerate(files)]
    rows = [{"bytes": one, "path": file.name} for one, file in zip(data, files, strict=True)]
    table = pa.table({"image": rows, "label": [file.parent.name for file in files]})
    pq.write_table(table, folder / f"{split}.parquet", row_group_size=group_size)
    shutil.rmtree(folder / split)


def test_copies_are_found_and_counted(leaking):
    assert find_equal_images(*load_labelled_images(leaking)) == FOUND


@pytest.mark.parametrize("splits", [("train", "val"), ("val",), ("train",)])
def test_in_parquet_they_are_found_by_their_bytes(leaking, splits):
    for split in splits:
        as_parquet(leaking, split)
    found = find_equal_images(*load_labelled_images(leaking))
    assert (found.num_train, found.num_val) == (3, 2)
    train, val = FOUND.example
    assert found.example == (
        "train.parquet row 00000000 (0.png)" if "train" in splits else train,
        "val.parquet row 00000001 (1.png)" if "val" in splits else val,
    )


def test_only_files_of_equal_sizes_and_blocks_are_read(make_images, monkeypatch):
    folder = make_images()
    for n, file in enumerate(sorted(folder.rglob("*.png"))):
        file.write_bytes(b"y" * (100 + n))
    (folder / "val/red/0.png").write_bytes(b"x" * (folder / "train/red/1.png").stat().st_size)
    # Between the blocks that are read at first, one byte of 100,000 differs.
    (folder / "train/red/2.png").write_bytes(b"z" * 100_000)
    (folder / "val/red/1.png").write_bytes(b"z" * 30_000 + b"." + b"z" * 69_999)
    read, sampled = [], []
    true_read, true_hashes = ImageFiles.read, equal_images.hashes_of_files

    def reading(self, row):
        read.append(self.paths[row].relative_to(folder).as_posix())
        return true_read(self, row)

    def sampling(paths):
        paths = list(paths)
        sampled.extend(path.relative_to(folder).as_posix() for path in paths)
        return true_hashes(paths)

    monkeypatch.setattr(ImageFiles, "read", reading)
    monkeypatch.setattr(equal_images, "hashes_of_files", sampling)
    found = find_equal_images(*load_labelled_images(folder))
    assert found == EqualImages(0, 0, None)
    assert sampled == ["train/red/1.png", "train/red/2.png", "val/red/0.png", "val/red/1.png"]
    assert read == ["train/red/2.png", "val/red/1.png"]


def test_images_that_are_not_asked_for_do_not_count(leaking):
    train, val = load_labelled_images(leaking)
    rows = [n for n, name in enumerate(train.names) if name == "train/red/2.png"]
    found = find_equal_images(train.subset(rows), val)
    assert found == EqualImages(1, 1, ("train/red/2.png", "val/green/0.png"))


def test_what_cannot_be_read_is_equal_to_none(leaking):
    images = load_labelled_images(leaking)
    for name in ("train/green/0.png", "val/red/0.png"):
        (leaking / name).write_bytes(b"")  # empty files are damaged, and no copies
    (leaking / "val/green/0.png").unlink()
    assert find_equal_images(*images) == EqualImages(1, 1, FOUND.example)
    as_parquet(leaking, "train", damage=(0,))
    assert find_equal_images(*load_labelled_images(leaking)) == EqualImages(0, 0, None)


def test_datasets_of_torchvision_are_not_looked_at(leaking):
    train, val = load_labelled_images(leaking)
    dataset = object.__new__(TorchvisionImages)  # one that nothing can be read of
    assert find_equal_images(replace(train, source=dataset), val) is None
    assert warning_of(None, val) == ""


def test_nothing_stays_open(leaking, monkeypatch):
    """Worker processes are forked after it."""
    as_parquet(leaking, "train")
    train, val = load_labelled_images(leaking)
    find_equal_images(train, val)
    assert isinstance(train.source, ParquetImages)
    assert not train.source._groups and not train.source._held


def test_it_is_said_once_beside_the_table_and_kept(leaking, make_images, tmp_path):
    results, table, log = run(leaking, tmp_path, linear=False)
    line = (
        "2 images of the 9 in val are in train too, byte for byte (as 3 images there), such as "
        "val/blue/1.png and train/blue/0.png"
    )
    assert table.count(line) == 1 and log.count(line) == 1
    kept = json.loads((tmp_path / "r.json").read_text())["equal_images"]
    assert kept == {"num_train": 3, "num_val": 2, "example": list(FOUND.example)}
    results, table, log = run(make_images(name="clean"), tmp_path, linear=False)
    assert "byte for byte" not in table + log
    assert results["equal_images"] == {"num_train": 0, "num_val": 0, "example": None}
