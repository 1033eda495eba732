import fcntl
import json
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from full_disk import no_file_larger_than
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.errors import ConfigError
from vidmoco.features.feature_file import (
    SUFFIXES,
    RowWriter,
    feature_writer,
    read_sidecar,
    require_known_suffix,
    require_own_sidecar,
)
from vidmoco.lock import alone_in

FEATURES = np.random.default_rng(0).normal(size=(11, 5))
TIMES = np.arange(11) / 30


def write(path, dtype="float32"):
    with feature_writer(path, dim=5, dtype=dtype) as writer:
        for start in range(0, 11, 4):
            writer.append(FEATURES[start : start + 4].astype(np.float32), TIMES[start : start + 4])
        return writer.finish({"made_by": "a test"})


def read(path):
    if path.suffix == ".npy":
        return np.load(path), np.load(path.with_suffix(".timestamps.npy"))
    table = pq.read_table(path)
    column = table["feature"].combine_chunks()
    return column.values.to_numpy().reshape(-1, 5), table["pts_seconds"].to_numpy()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("suffix", SUFFIXES)
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
    with (folder / "ours.npy").open("wb") as file:
        writer = RowWriter(file, row_shape=row_shape, dtype="float64")
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
        feature_writer(path, dim=5, dtype="float32") as w,
    ):
        w.append(FEATURES[:2], TIMES[:2])
        raise RuntimeError("boom")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "feats.json", "feats.npy", "feats.timestamps.npy",
    ]  # fmt: skip
    assert len(np.load(path)) == 11


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("room", [0, 300, 100_000, 150_000])
def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path, suffix, room):
    path = tmp_path / f"feats{suffix}"
    write(path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    many = np.random.default_rng(0).normal(size=(100, 500))
    with (  # the features, 200,000 bytes, come in parts and the first may find room
        no_file_larger_than(room),
        pytest.raises(ConfigError, match=rf"feats{suffix} cannot be written: File too large.*-o"),
        feature_writer(path, dim=500, dtype="float32") as writer,
    ):
        for part in np.split(many, 4):
            writer.append(part, np.arange(25.0))
        writer.finish({})
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_sidecar_without_room_leaves_what_was_there(tmp_path, suffix):
    path = tmp_path / f"feats{suffix}"
    write(path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with (
        no_file_larger_than(5000),
        pytest.raises(ConfigError, match="too large"),
        feature_writer(path, dim=5, dtype="float32") as writer,
    ):
        writer.append(FEATURES[:2], TIMES[:2])
        writer.finish({"long": "x" * 10_000})
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path):
    (tmp_path / "feats.timestamps.npy").mkdir()
    with pytest.raises(ConfigError, match=r"timestamps\.npy cannot be written: Is a directory"):
        write(tmp_path / "feats.npy")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["feats.npy", "feats.timestamps.npy"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_a_killed_process_left_is_removed(tmp_path, suffix):
    path = tmp_path / f"feats[1]{suffix}"
    write(path)
    names = sorted(p.name for p in tmp_path.iterdir())
    for name in [*names, "other.npy"]:
        (tmp_path / f"{name}.7.part").write_text("half")
    write(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*names, "other.npy.7.part"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_two_that_write_one_file_do_not_take_each_other_for_dead(tmp_path, suffix):
    path = tmp_path / f"feats{suffix}"
    with feature_writer(path, dim=5, dtype="float32") as first:
        first.append(FEATURES[:2], TIMES[:2])
        assert write(path) == 11
        assert len(read(path)[0]) == 11
        first.append(FEATURES[2:3], TIMES[2:3])
        assert first.finish({"made_by": "the last one"}) == 3
        assert write(path) == 11
    assert len(read(path)[0]) == len(read(path)[1]) == 3
    assert read_sidecar(path) == {"made_by": "the last one"}
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_files_of_two_that_end_at_once_are_of_one_of_them(tmp_path, monkeypatch):
    """The second one comes between the renames of the first one, or waits until they are done."""
    path, came = tmp_path / "feats.npy", threading.Event()
    rename, flock = Path.replace, fcntl.flock

    def replace(part, into):
        rename(part, into)
        if into == path and second.ident is None:
            second.start()
            came.wait()

    def lock(file, operation):
        try:
            flock(file, operation)
        except BlockingIOError:
            if isinstance(file, int):  # the folder; temporary files are looked at before
                came.set()
            raise

    def write_all():
        with feature_writer(path, dim=5, dtype="float32") as writer:
            writer.append(FEATURES[:2], TIMES[:2])
            writer.finish({"made_by": "the second one"})
        came.set()

    second = threading.Thread(target=write_all)
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(fcntl, "flock", lock)
    monkeypatch.setattr("vidmoco.lock.SECONDS_TO_BE_ALONE", 1200.0)
    write(path)
    second.join()
    features, times = read(path)
    assert (len(features), len(times)) == (2, 2)
    assert read_sidecar(path) == {"made_by": "the second one"}


def test_a_folder_that_another_program_locks_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    """Such as ``flock FOLDER vidmoco extract``."""
    monkeypatch.setattr("vidmoco.lock.SECONDS_TO_BE_ALONE", 0.0)
    with alone_in(tmp_path):
        assert write(tmp_path / "feats.npy") == 11


def test_on_a_disk_without_locks_nobody_is_taken_for_dead(tmp_path, no_locks):
    (tmp_path / "feats.npy.7.part").write_text("half")
    write(tmp_path / "feats.npy")
    assert (tmp_path / "feats.npy.7.part").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_sidecar_comes_last(tmp_path, suffix, monkeypatch):
    renamed, rename = [], Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda path, to: (renamed.append(to.name), rename(path, to))
    )
    write(tmp_path / f"feats{suffix}")
    assert renamed[-1] == "feats.json" and f"feats{suffix}" in renamed


def test_rows_of_many_batches_are_in_few_groups(tmp_path):
    path = tmp_path / "feats.parquet"
    features = np.random.default_rng(1).normal(size=(5000, 2)).astype(np.float32)
    with feature_writer(path, dim=2, dtype="float32") as writer:
        for rows in np.split(features, 50):
            writer.append(rows, np.arange(100.0))
        assert writer.finish({}) == 5000
    with pq.ParquetFile(path) as file:
        assert file.num_row_groups == 2
        found = file.read(["feature"])["feature"].combine_chunks().flatten().to_numpy()
    np.testing.assert_array_equal(found.reshape(-1, 2), features)


def test_a_block_that_does_not_finish_writes_nothing(tmp_path):
    unfinished = pytest.raises(AssertionError, match="without finish")
    with unfinished, feature_writer(tmp_path / "feats.npy", dim=5, dtype="float32") as writer:
        writer.append(FEATURES, TIMES)
    assert not list(tmp_path.iterdir())


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
    with pytest.raises(ConfigError, match=r"feats\.csv.*\.npy, \.parquet"):
        require_known_suffix(tmp_path / "feats.csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_others_may_read_what_they_may_read_by_umask(tmp_path, suffix):
    path = tmp_path / f"feats{suffix}"
    with feature_writer(path, dim=2, dtype="float32") as writer:
        writer.append(np.zeros((3, 2)), np.arange(3.0))
        writer.finish({})
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("text", ['{"label": "cat"}', "[1, 2]", "{half", "5", ""])
def test_a_json_file_of_the_user_is_kept(tmp_path, text):
    """Such as the labels of clip.mp4, where the features would be clip.npy."""
    (tmp_path / "clip.json").write_text(text)
    with pytest.raises(ConfigError, match=r"clip\.json, but that is a file of something else"):
        require_own_sidecar(tmp_path / "clip.npy")


def test_a_damaged_sidecar_is_written_again(tmp_path):
    write(tmp_path / "feats.npy")
    (tmp_path / "feats.json").write_text("{half")
    require_own_sidecar(tmp_path / "feats.npy")


def test_two_types_do_not_share_a_sidecar(tmp_path):
    with feature_writer(tmp_path / "feats.npy", dim=2, dtype="float32") as writer:
        writer.append(np.zeros((3, 2)), np.arange(3.0))
        writer.finish({"weights_hash": "1"})
    require_own_sidecar(tmp_path / "feats.npy")
    require_own_sidecar(tmp_path / "others.parquet")
    with pytest.raises(ConfigError, match=r"would share its sidecar .*feats.json with .*feats.npy"):
        require_own_sidecar(tmp_path / "feats.parquet")
