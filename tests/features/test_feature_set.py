import os
from pathlib import Path

import fsspec
import numpy as np
import pytest
from dataset_folders import begin, values_of, write
from explore_features import PREPROCESS, feature_set, random_features, unit, write_features

from vidmoco.errors import ConfigError, DataError
from vidmoco.features import feature_set as feature_set_module
from vidmoco.features.feature_set import open_features
from vidmoco.urls import is_url


def test_rows_go_through_all_files(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_set_module, "ROWS_AT_ONCE", 3)
    videos = [random_features(n, seed=n) for n in (4, 1, 7)]
    features = feature_set(tmp_path, *videos)
    every = unit(np.concatenate(videos))
    assert (features.num_rows, features.dim, features.starts.tolist()) == (12, 6, [0, 4, 5, 12])
    assert repr(features).startswith("<FeatureSet of 3 files, 12 x 6, videos in ")
    assert [features.name_of(row) for row in (0, 3, 4, 5, 11)] == [
        *("a.mp4", "a.mp4", "b.mp4", "c.mp4", "c.mp4")
    ]
    assert features.times[[3, 4, 5, 11]].tolist() == [3, 0, 0, 6]
    assert features.videos.tolist() == [0] * 4 + [1] + [2] * 7
    pieces = list(features.pieces())
    assert [first for first, _ in pieces] == [0, 3, 4, 5, 8, 11]
    np.testing.assert_allclose(np.concatenate([rows for _, rows in pieces]), every, atol=1e-6)
    rows = np.array([11, 0, 4, 4, 6, 3, 11])
    np.testing.assert_allclose(features.take(rows), every[rows], atol=1e-6)
    for picked in ([11, -12, -1], [], slice(3, 6), every[:, 0] > 0, 5, [[0, 1], [2, 3]]):
        taken = features.take(picked)
        assert taken.dtype == np.float32 and taken.shape == every[picked].shape
        np.testing.assert_allclose(taken, every[picked], atol=1e-6)
    for wrong in ([12], [-13], np.ones(11, bool), "a.mp4"):
        with pytest.raises(ConfigError, match="There are 12 rows, and"):
            features.take(wrong)
    assert features.name_of(-1) == "c.mp4" and features.name_of(-12) == "a.mp4"
    with pytest.raises(ConfigError, match="There are 12 rows, and"):
        features.file_of(12)
    np.testing.assert_allclose(features.of_file(-1), every[5:], atol=1e-6)
    with pytest.raises(ConfigError, match="There are 3 files, and"):
        features.of_file(3)


def test_rows_are_taken_evenly(tmp_path):
    features = feature_set(tmp_path, random_features(11))
    assert features.evenly(3).tolist() == [0, 5, 10]
    assert features.evenly(50).tolist() == list(range(11))


def test_files_of_one_video_are_one_video_and_names_are_paths_below_the_common_folder(tmp_path):
    for name, video in (("1", "b/x.mp4"), ("2", "a/y.mp4"), ("3", "b/x.mp4")):
        source = Path("/gone") / video
        write_features(tmp_path / f"{name}.npy", random_features(2), source=source)
    features = open_features(tmp_path)
    assert [file.name for file in features.files] == ["a/y.mp4", "b/x.mp4", "b/x.mp4"]
    assert features.videos.tolist() == [0, 0, 1, 1, 1, 1]
    assert features.folder == Path("/gone")
    assert open_features(tmp_path / "1.npy").files[0].name == "x.mp4"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_is_told(tmp_path, bad, monkeypatch):
    monkeypatch.setattr(feature_set_module, "ROWS_AT_ONCE", 2)
    values = random_features(6)
    values[4, 1] = bad
    features = feature_set(tmp_path, random_features(3), values)
    with pytest.raises(DataError, match=r"b\.mp4\.npy: feature 4 is not finite"):
        list(features.pieces())


def test_large_and_zero_features(tmp_path):
    values = np.array([[60000, 60000], [0, 0]], dtype=np.float16)
    (_, rows), *_ = feature_set(tmp_path, values).pieces()
    np.testing.assert_allclose(rows, [[0.5**0.5, 0.5**0.5], [0, 0]], atol=1e-6)


def test_what_is_not_finished_is_left_out_and_listed(tmp_path):
    write_features(tmp_path / "a.npy", random_features(2), source=Path("/gone/a.mp4"))
    (tmp_path / "other.parquet").write_text("a catalog, for example")
    features = open_features(tmp_path)
    assert len(features.files) == 1
    assert len(features.left_out) == 1 and "other.parquet" in features.left_out[0]


@pytest.mark.parametrize(
    "about", [{"weights_hash": "beef"}, {"preprocess": PREPROCESS | {"size": 64}}]
)
def test_different_backbones_are_refused(tmp_path, about):
    write_features(tmp_path / "a.npy", random_features(2), source=Path("/gone/a.mp4"))
    write_features(
        tmp_path / "b.parquet", random_features(2), source=Path("/gone/b.mp4"), about=about
    )
    with pytest.raises(ConfigError, match="different backbones, which cannot be compared: 1 of"):
        open_features(tmp_path)


def test_files_that_share_a_sidecar_are_refused(tmp_path):
    write_features(tmp_path / "a.npy", random_features(2), source=Path("/gone/a.mp4"))
    write_features(tmp_path / "a.parquet", random_features(2), source=Path("/gone/a.mp4"))
    with pytest.raises(ConfigError, match="share one sidecar"):
        open_features(tmp_path)


def test_sizes_that_differ_are_refused(tmp_path):
    write_features(tmp_path / "a.npy", random_features(2), source=Path("/gone/a.mp4"))
    write_features(tmp_path / "b.npy", random_features(2, dim=5), source=Path("/gone/b.mp4"))
    with pytest.raises(DataError, match="different sizes"):
        open_features(tmp_path)


def test_what_holds_no_features_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("hello")
    np.save(tmp_path / "x.npy", np.zeros(3))
    for path, reason in (
        (tmp_path / "none", "There is nothing at"),
        (tmp_path / "note.txt", "is not a feature file"),
        (tmp_path / "x.npy", "no sidecar"),
        (tmp_path, r"There are no features in .* no sidecar"),
    ):
        with pytest.raises(ConfigError, match=reason):
            open_features(path)


@pytest.mark.parametrize(
    "about", [{"source": 5}, {"source": "a.mp4"}, {"source": "/a\0"}, {"preprocess": 1}]
)
def test_a_sidecar_of_something_else_is_not_used(tmp_path, about):
    write_features(tmp_path / "a.npy", random_features(2), source=Path("/gone/a.mp4"), about=about)
    with pytest.raises(ConfigError, match="There are no features"):
        open_features(tmp_path)


@pytest.mark.parametrize("root", ["", "memory://shelf"])
def test_a_part_or_a_folder_above_names_the_dataset(root, tmp_path, request):
    request.addfinalizer(fsspec.filesystem("memory").store.clear)
    root = Path(root or tmp_path)
    dataset = begin(root / "all" / "feats")
    write(dataset, ("a", values_of(3)))
    (part,) = dataset.parts
    inside = [part, "__vidmoco__/manifest.parquet"]
    above = [] if is_url(root) else ["__vidmoco__", "..", "../.."]
    dataset.folder.write("__vidmoco__/manifest.parquet", b"")
    for name in inside + above:
        with pytest.raises(ConfigError, match=rf"Give that: {dataset.folder.name}$"):
            open_features(Path(os.path.normpath(root / "all" / "feats" / name)))
    assert len(open_features(root / "all" / "feats").files) == 1
    with pytest.raises(ConfigError, match="There is nothing at"):
        open_features(root / "gone" / "feats")


def test_several_datasets_in_a_folder(tmp_path):
    for name in ("a", "b"):
        write(begin(tmp_path / name), ("v", values_of(3)))
    with pytest.raises(ConfigError, match=rf"Give that: {tmp_path}/a or {tmp_path}/b$"):
        open_features(tmp_path)
