import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from full_disk import no_file_larger_than
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from vidmoco.errors import ConfigError
from vidmoco.features.feature_file import (
    FeatureWriter,
    RowWriter,
    read_sidecar,
    require_known_suffix,
    require_own_sidecar,
)

FEATURES = np.random.default_rng(0).normal(size=(11, 5))
TIMES = np.arange(11) / 30


def write(path, dtype="float32"):
    with FeatureWriter(path, dim=5, dtype=dtype) as writer:
        for start in range(0, 11, 4):
            writer.append(FEATURES[start : start + 4].astype(np.float32), TIMES[start : start + 4])
        return writer.finish({"made_by": "a test"})


def read(path):
    if path.suffix == ".npy":
        return np.load(path), np.load(path.with_suffix(".timestamps.npy"))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return arrays["features"], arrays["timestamps"]
    if path.suffix == ".safetensors":
        arrays = load_file(path)
        return arrays["features"], arrays["timestamps"]
    table = pq.read_table(path)
    column = table["feature"].combine_chunks()
    return column.values.to_numpy().reshape(-1, 5), table["pts_seconds"].to_numpy()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".parquet"])
def test_every_file_type_holds_the_rows_in_order(tmp_path, suffix, dtype):
    path = tmp_path / f"feats{suffix}"
    assert write(path, dtype) == 11
    features, times = read(path)
    assert features.dtype == dtype
    np.testing.assert_array_equal(features, FEATURES.astype(np.float32).astype(dtype))
    np.testing.assert_array_equal(times, TIMES)
    assert read_sidecar(path) == {"made_by": "a test"}
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


@given(st.lists(st.integers(0, 5), max_size=6), st.sampled_from([(), (3,), (2, 2)]))
def test_row_writer_is_np_save(tmp_path_factory, sizes, row_shape):
    folder = tmp_path_factory.mktemp("rows")
    array = np.random.default_rng(0).normal(size=(sum(sizes), *row_shape))
    writer = RowWriter(folder / "ours.npy", row_shape=row_shape, dtype="float64")
    for part in np.split(array, np.cumsum(sizes)):
        writer.append(part)
    writer.close()
    np.save(folder / "theirs.npy", array)
    assert (folder / "ours.npy").read_bytes() == (folder / "theirs.npy").read_bytes()


def test_an_error_on_the_way_leaves_nothing_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "feats.npy"
    write(path)
    with (
        pytest.raises(RuntimeError, match="boom"),
        FeatureWriter(path, dim=5, dtype="float32") as w,
    ):
        w.append(FEATURES[:2], TIMES[:2])
        raise RuntimeError("boom")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "feats.json", "feats.npy", "feats.timestamps.npy",
    ]  # fmt: skip
    assert len(np.load(path)) == 11


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".parquet"])
@pytest.mark.parametrize("room", [0, 300, 100_000, 150_000])
def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path, suffix, room):
    path = tmp_path / f"feats{suffix}"
    write(path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    many = np.random.default_rng(0).normal(size=(100, 500))
    with (  # the features, 200,000 bytes, come in parts and the first may find room
        no_file_larger_than(room),
        pytest.raises(ConfigError, match=rf"feats{suffix} cannot be written: File too large.*-o"),
        FeatureWriter(path, dim=500, dtype="float32") as writer,
    ):
        for part in np.split(many, 4):
            writer.append(part, np.arange(25.0))
        writer.finish({})
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_sidecar_without_room_leaves_what_was_there(tmp_path, suffix):
    path = tmp_path / f"feats{suffix}"
    write(path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with (
        no_file_larger_than(5000),
        pytest.raises(ConfigError, match="too large"),
        FeatureWriter(path, dim=5, dtype="float32") as writer,
    ):
        writer.append(FEATURES[:2], TIMES[:2])
        writer.finish({"long": "x" * 10_000})
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_folder_in_the_place_of_a_part_is_told(tmp_path):
    (tmp_path / "feats.npy.timestamps.part").mkdir()
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
        FeatureWriter(tmp_path / "feats.npy", dim=5, dtype="float32")
    assert len(list(tmp_path.iterdir())) == 1


def test_without_its_sidecar_a_file_is_not_finished(tmp_path):
    path = tmp_path / "feats.npy"
    assert read_sidecar(path) is None
    write(path)
    (tmp_path / "feats.json").write_text("{half")
    assert read_sidecar(path) is None
    (tmp_path / "feats.json").write_text(json.dumps({"a": 1}))
    path.unlink()
    assert read_sidecar(path) is None


def test_an_unknown_suffix_names_the_known(tmp_path):
    with pytest.raises(ConfigError, match=r"feats\.csv.*\.npy, \.npz"):
        require_known_suffix(tmp_path / "feats.csv")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".parquet"])
def test_others_may_read_what_they_may_read_by_umask(tmp_path, suffix):
    path = tmp_path / f"feats{suffix}"
    with FeatureWriter(path, dim=2, dtype="float32") as writer:
        writer.append(np.zeros((3, 2)), np.arange(3.0))
        writer.finish({})
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_two_types_do_not_share_a_sidecar(tmp_path):
    with FeatureWriter(tmp_path / "feats.npy", dim=2, dtype="float32") as writer:
        writer.append(np.zeros((3, 2)), np.arange(3.0))
        writer.finish({})
    require_own_sidecar(tmp_path / "feats.npy")
    require_own_sidecar(tmp_path / "others.npz")
    with pytest.raises(ConfigError, match=r"would share its sidecar .*feats.json with .*feats.npy"):
        require_own_sidecar(tmp_path / "feats.npz")
