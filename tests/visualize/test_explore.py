import csv
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from explore_features import feature_set, random_features, smooth, write_features
from PIL import Image

from vidmoco.cli.main import main
from vidmoco.config.evaluation import ExploreCommand
from vidmoco.errors import ConfigError
from vidmoco.visualize import explore as explore_module
from vidmoco.visualize.duplicates import find_duplicates
from vidmoco.visualize.explore import usual_similarity

NAMES = ("similarity.png", "strip.png", "map.png", "shots.csv", "duplicates.csv")


def explore(*words):
    return main(["explore", *map(str, words)])


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder(painted_features, tmp_path, capsys):
    _, feats, _ = painted_features
    words = ("-o", tmp_path, "--map-frames", 20, "--max-videos", 1)
    assert explore(feats, *words) == 0
    printed = capsys.readouterr().out
    assert "48 frames of 2 videos below" in printed
    assert "show 1 of 2 files, evenly chosen (--max-videos)" in printed
    assert "has 20 of 48 frames, evenly chosen (--map-frames)" in printed
    for name in NAMES:
        assert str(tmp_path / name) in printed
    for name in NAMES[:3]:
        Image.open(tmp_path / name).verify()


def test_all_is_the_same_again(tmp_path):
    feature_set(tmp_path / "f", random_features(30), random_features(9))
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert explore(tmp_path / "f", "-o", tmp_path / name, "--seed", seed) == 0
    for name in NAMES:
        written = [(tmp_path / folder / name).read_bytes() for folder in ("a", "b", "c")]
        assert written[0] == written[1]
        assert (written[0] == written[2]) == (name != "map.png")


def test_planted_cuts_and_duplicates_are_written_and_others_are_not(tmp_path, capsys):
    turned = np.roll(smooth(20), 2, axis=1)
    cut = np.concatenate([smooth(10), np.roll(smooth(10), 4, axis=1)])
    turned[19] = cut[15]
    feature_set(tmp_path / "f", cut, turned[:19], turned[19:], smooth(20, start=np.pi))
    assert explore(tmp_path / "f", "-o", tmp_path / "out", "--layout", "pca") == 0
    printed = capsys.readouterr().out
    (shot,) = rows_of(tmp_path / "out" / "shots.csv")
    assert (shot["file"], float(shot["seconds"])) == ("a.mp4", 10)
    (pair,) = rows_of(tmp_path / "out" / "duplicates.csv")
    assert (pair["file_a"], pair["file_b"], pair["similarity"]) == ("a.mp4", "c.mp4", "1.0000")
    assert (float(pair["seconds_a"]), float(pair["seconds_b"])) == (15, 0)
    assert "as much from the previous frame as the frames around them: 1" in printed
    assert "of similarity 0.95 or more: 1 pair of videos, and 0 videos with similar" in printed
    assert pair["same_video"] == "no"


def test_of_too_many_duplicates_the_most_similar_ones_are_listed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(explore_module, "find_duplicates", partial(find_duplicates, most=2))
    alike = 5 + 0.1 * random_features(9)
    feature_set(tmp_path / "f", alike, alike[::-1], alike, alike)
    assert explore(tmp_path / "f", "-o", tmp_path / "out", "--layout", "pca") == 0
    printed = capsys.readouterr().out
    counts = "6 pairs of videos, and 0 videos with similar frames far apart"
    assert f"{counts}; duplicates.csv has the 2 most similar ones" in printed
    assert "hardly tells videos apart" in printed
    assert len(rows_of(tmp_path / "out" / "duplicates.csv")) == 2


def test_one_file_of_one_frame(tmp_path, capsys):
    path = write_features(tmp_path / "a.parquet", random_features(1), source=Path("/gone/a.mp4"))
    assert explore(path, "-o", tmp_path / "out") == 0
    assert all((tmp_path / "out" / name).is_file() for name in NAMES)
    assert "median similarity" not in capsys.readouterr().out


def test_a_backbone_that_tells_nothing_apart_is_told(tmp_path, capsys):
    alike = 5 + 0.1 * random_features(9)
    features = feature_set(tmp_path / "f", alike, alike[::-1])
    unit = features.take(features.evenly(99))
    videos, times = features.videos, features.times
    assert usual_similarity(unit, videos, times, apart=5.0) > 0.99
    assert usual_similarity(unit[:9], videos[:9], times[:9], apart=5.0) > 0.99
    assert usual_similarity(unit[:1], videos[:1], times[:1], apart=0.0) is None
    assert explore(tmp_path / "f", "-o", tmp_path / "out", "--layout", "pca") == 0
    assert "hardly tells videos apart" in capsys.readouterr().out


def test_a_single_video_whose_frames_are_all_alike_is_told(tmp_path, capsys):
    """By frames far apart: those next to each other are alike in any video."""
    write_features(tmp_path / "a.npy", 5 + 0.1 * random_features(9), source=Path("/gone/a.mp4"))
    assert explore(tmp_path / "a.npy", "-o", tmp_path / "out", "--layout", "pca") == 0
    printed = capsys.readouterr().out
    assert "The median similarity of frames at least 4 s apart is 1.00." in printed
    assert "This backbone hardly tells the frames of this video apart, so the" in printed
    write_features(tmp_path / "b.npy", smooth(90, step=0.05), source=Path("/gone/b.mp4"))
    assert explore(tmp_path / "b.npy", "-o", tmp_path / "out", "--layout", "pca") == 0
    printed = capsys.readouterr().out
    assert "at least 5 s apart is" in printed and "hardly tells" not in printed


def test_videos_that_are_gone_are_told(painted_features, tmp_path, capsys):
    _, feats, _ = painted_features
    assert explore(feats, "-o", tmp_path / "there", "--layout", "pca") == 0
    assert "no pictures" not in capsys.readouterr().err
    write_features(tmp_path / "f/a.npy", random_features(4), source=Path("/gone/a.mp4"))
    write_features(tmp_path / "f/b.npy", random_features(4), source=Path("/gone/b.mp4"))
    assert explore(tmp_path / "f", "-o", tmp_path / "out", "--layout", "pca") == 0
    assert (
        "There are no pictures of 2 of 2 videos. The first: 'a.mp4', the video is not there any "
        "more. Put it back as /gone/a.mp4, or extract again with --overwrite.\n"
    ) in capsys.readouterr().err


def test_mistakes_are_one_line(tmp_path, capsys, monkeypatch):
    bad = random_features(4)
    bad[2] = np.nan
    write_features(tmp_path / "bad" / "a.npy", bad, source=Path("/gone/a.mp4"))
    write_features(tmp_path / "f" / "a.npy", random_features(4), source=Path("/gone/a.mp4"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for words, reason in (
        ([tmp_path / "empty"], "There are no features in"),
        ([tmp_path / "bad"], "feature 2 is not finite"),
        ([tmp_path / "f", "-o", tmp_path / "file" / "out"], "file is a file, not a folder"),
    ):
        assert explore("-o", tmp_path / "out", *words) == 2
        error = capsys.readouterr().err
        assert reason in error and len(error.splitlines()) == 1
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    assert explore(tmp_path / "f", "-o", tmp_path / "out2") == 2
    assert "vidmoco[eval]" in capsys.readouterr().err
    assert not (tmp_path / "out2").exists()


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("map_frames", 1),
        ("max_videos", 0),
        ("duplicate_similarity", 0),
        ("duplicate_gap", -1),
        ("seed", -1),
    ],
)
def test_settings_out_of_range(flag, value):
    with pytest.raises(ConfigError, match=f"--{flag.replace('_', '-')} is {value}; it must be"):
        ExploreCommand(features=Path("feats"), **{flag: value})
