from pathlib import Path

import fsspec
import numpy as np
import pytest
from dataset_folders import begin, values_of, write

from vidmoco.errors import ConfigError, DataError
from vidmoco.features import dataset as dataset_module
from vidmoco.features import dataset_part, dataset_writer, feature_set
from vidmoco.features.dataset_rows import DatasetRows
from vidmoco.features.feature_set import open_features
from vidmoco.features.output_folder import output_folder


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)


@pytest.mark.parametrize("place", ["feats", "memory://shelf/feats"])
@pytest.mark.parametrize("at_once", [3, 8192])
def test_rows_are_those_that_were_written(place, at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_part, "_GROUP_BYTES", 500)
    monkeypatch.setattr(dataset_module, "PART_BYTES", 3000)
    monkeypatch.setattr(dataset_writer, "_LONG", 1000)
    monkeypatch.setattr(feature_set, "ROWS_AT_ONCE", at_once)
    monkeypatch.chdir(tmp_path)
    lengths = {"b": 5, "deep/a": 200, "c": 1, "d": 40}
    dataset = begin(place)
    write(dataset, *((name, values_of(rows)) for name, rows in lengths.items()))
    found = open_features(Path(place))
    assert [file.name for file in found.files] == sorted(lengths)
    assert found.folder == Path("/gone") and found.num_rows == 246 and found.dim == 4
    for number, file in enumerate(found.files):
        rows = lengths[file.name]
        np.testing.assert_array_equal(file.times, np.arange(rows))
        np.testing.assert_allclose(found.of_file(number), unit(values_of(rows)), atol=1e-6)
        assert file.sidecar["source"] == f"/gone/{file.name}"
        assert (file.sidecar["source_bytes"], file.sidecar["source_mtime_ns"]) == (1, 2)
    rows = np.array([245, 0, 7, 100, 7])
    everything = np.concatenate([found.of_file(number) for number in range(4)])
    np.testing.assert_array_equal(found.take(rows), everything[rows])
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def test_a_group_of_many_short_videos_is_read_once(tmp_path, monkeypatch):
    dataset = begin(tmp_path / "f")
    write(dataset, *((f"{n:03d}", values_of(2)) for n in range(100)))
    opened = []
    folder = type(output_folder(tmp_path))
    honest = folder.open

    def noted(self, name):
        opened.append(name)
        return honest(self, name)

    monkeypatch.setattr(folder, "open", noted)
    found = open_features(tmp_path / "f")
    assert sum(len(rows) for _, rows in found.pieces()) == 200
    assert len(opened) < 10


def test_videos_of_several_writers_in_turn_are_read_once(tmp_path, monkeypatch):
    for writer in range(8):
        videos = ((f"{n:03d}", values_of(2)) for n in range(writer, 80, 8))
        write(begin(tmp_path / "f"), *videos)
    read = []
    honest = DatasetRows._read_group
    monkeypatch.setattr(
        DatasetRows, "_read_group", lambda *args: (read.append(args[1:]), honest(*args))[1]
    )
    found = open_features(tmp_path / "f")
    assert sum(len(rows) for _, rows in found.pieces()) == 160
    assert len(read) == len(set(read)) == 8


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"feature": "patches"}, "holds patch tokens"),
        ({"pool": "mean"}, r"pooled over frames \(--pool mean\)"),
        ({}, "There are no features in .* yet. Make some: vidmoco extract videos/ -o "),
    ],
)
def test_a_dataset_without_a_vector_per_frame_is_refused(tmp_path, settings, expected):
    begin(tmp_path / "f", **settings)
    with pytest.raises(ConfigError, match=expected):
        open_features(tmp_path / "f")


def test_a_part_that_was_merged_meanwhile(tmp_path):
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(50)))
    (name,) = dataset.parts
    found = open_features(tmp_path / "f")
    (tmp_path / "f" / name).unlink()
    with pytest.raises(DataError, match=rf"{name} is gone: .* Give the command again"):
        list(found.pieces())


def test_a_damaged_part_is_named(tmp_path):
    dataset = begin(tmp_path / "f")
    write(dataset, ("a", values_of(50)))
    (name,) = dataset.parts
    data = (tmp_path / "f" / name).read_bytes()
    footer = int.from_bytes(data[-8:-4], "little") + 8
    (tmp_path / "f" / name).write_bytes(b"\xff" * (len(data) - footer) + data[-footer:])
    with pytest.raises(DataError, match=rf"{name} cannot be read as features: .* Delete it"):
        list(open_features(tmp_path / "f").pieces())
    (tmp_path / "f" / name).write_bytes(data[:-20])
    with pytest.raises(DataError, match=rf"{name} cannot be read as a part of a dataset"):
        open_features(tmp_path / "f")


def test_nothing_at_a_url_is_one_line():
    with pytest.raises(ConfigError, match="There is nothing at memory://no/where"):
        open_features(Path("memory://no/where"))
