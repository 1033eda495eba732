from fractions import Fraction

import numpy as np
import pytest
from explore_features import random_features, write_features
from painted_videos import paint, read_index, write_video
from PIL import Image

from vidmoco.cli.main import main
from vidmoco.errors import CheckpointError, ConfigError, DataError, VideoError
from vidmoco.features.feature_set import open_features
from vidmoco.visualize.query import backbone_of, feature_of, read_query


def test_a_frame_is_the_one_shown_then(painted_features):
    videos, feats, _ = painted_features
    features = open_features(feats)
    query = read_query(f"{videos / 'deeper' / 'y.ts'}@1.25")
    assert read_index(query.pixels) == 312
    assert (query.name, query.seconds) == ("y.ts", pytest.approx(1.2, abs=1e-6))
    feature = feature_of(backbone_of(features), query)
    row = [f.name for f in features.files].index("deeper/y.ts") * 24 + 12
    np.testing.assert_allclose(feature, features.take(np.array([row]))[0], atol=1e-5)
    assert np.linalg.norm(feature) == pytest.approx(1)


def test_a_query_is_cropped_as_the_features_were(painted_features, tmp_path):
    videos, feats, backbone = painted_features
    words = ["extract", videos / "x.mp4", "-o", tmp_path / "x.npy", "--backbone", backbone]
    assert main([*map(str, words), "--crop-mode", "squash"]) == 0
    features = open_features(tmp_path / "x.npy")
    feature = feature_of(backbone_of(features), read_query(f"{videos / 'x.mp4'}@0.5"))
    row = features.take(np.array([5]))[0]
    np.testing.assert_allclose(feature, row, atol=1e-5)
    cropped = open_features(feats).take(np.array([24 + 5]))[0]  # after the 24 of deeper/y.ts
    assert np.abs(cropped - row).max() > 1e-3


def test_pixels_that_are_not_square(tmp_path):
    path = tmp_path / "a.mkv"
    write_video(path, num_frames=3, sample_aspect_ratio=Fraction(2))
    query = read_query(f"{path}@0")
    assert query.pixels.shape == (64, 96, 3)
    assert (query.aspect_ratio, query.picture.size) == (3.0, (192, 64))


def test_an_image_even_with_an_at_sign(tmp_path):
    path = tmp_path / "icon@2x.png"
    Image.fromarray(paint(77)).save(path)
    query = read_query(str(path))
    assert (read_index(query.pixels), query.seconds) == (77, None)


@pytest.mark.parametrize(
    ("query", "kind", "reason"),
    [
        ("none.jpg", ConfigError, "does not exist"),
        ("none.mp4@1", ConfigError, "does not exist"),
        ("", ConfigError, "is a folder"),
        ("x.mp4", ConfigError, "a video without a time. Give an image, or a video and a time"),
        ("x.mp4@abc", ConfigError, "'abc' is no time from 0 on"),
        ("x.mp4@", ConfigError, "'' is no time"),
        ("x.mp4@-1", ConfigError, "'-1' is no time"),
        ("x.mp4@nan", ConfigError, "'nan' is no time"),
        ("x.mp4@0:60", ConfigError, "'0:60' is no time"),
        ("x.mp4@1:00", ConfigError, r"x\.mp4@60 is beyond the end of the video"),
        ("x.mp4@2.4", ConfigError, "beyond the end of the video, which lasts 2.400 s"),
        ("text.png", DataError, "cannot be read as an image"),
        ("text.png@1", VideoError, "text"),
    ],
)
def test_what_is_no_query_is_refused(painted_features, tmp_path, query, kind, reason):
    (tmp_path / "x.mp4").symlink_to(painted_features[0] / "x.mp4")
    (tmp_path / "text.png").write_text("this is text")
    with pytest.raises(kind, match=reason):
        read_query(f"{tmp_path}/{query}" if query else str(tmp_path))


@pytest.mark.parametrize("query", ["a cat", "cat", "red", "a man on a horse, at night"])
def test_words_are_no_query(tmp_path, monkeypatch, query):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"'{query}' is no file, and features of images know no"):
        read_query(query)


@pytest.mark.parametrize("query", ["cat.jpg", "my cat.jpeg", "a/cat", "~/cat", "clip.mp4@1"])
def test_what_looks_like_a_file_does_not_exist(tmp_path, monkeypatch, query):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"--query {query} does not exist"):
        read_query(query)


def test_a_time_as_players_write_it(painted_features):
    path = painted_features[0] / "x.mp4"
    expected = read_query(f"{path}@1.2")
    for time in ("0:01.2", "0:00:01.2", "00:01.200"):
        assert read_query(f"{path}@{time}").seconds == expected.seconds


def test_features_of_another_backbone_are_refused(painted_features, tmp_path):
    *_, backbone = painted_features
    source = tmp_path / "a.mp4"
    for n, (about, kind, reason) in enumerate(
        [
            ({}, CheckpointError, "runs/none, cannot be loaded: .*with --backbone"),
            ({"backbone": str(backbone)}, ConfigError, "did not make these features"),
            ({"backbone": str(backbone), "preprocess": {}}, CheckpointError, "cannot be loaded"),
        ]
    ):
        folder = tmp_path / str(n)
        write_features(folder / "a.npy", random_features(2, 512), source=source, about=about)
        with pytest.raises(kind, match=reason):
            backbone_of(open_features(folder))
    with pytest.raises(ConfigError, match="did not make these features"):
        backbone_of(open_features(tmp_path / "0"), backbone=str(backbone))
    with pytest.raises(ConfigError, match="Unknown backbone 'nope'"):
        backbone_of(open_features(tmp_path / "0"), backbone="nope")
