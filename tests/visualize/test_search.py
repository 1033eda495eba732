import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from painted_videos import read_index
from PIL import Image

from vidmoco.cli.main import main
from vidmoco.config.evaluation import SearchCommand
from vidmoco.errors import ConfigError


def search(*words):
    return main(["search", *map(str, words)])


def table_of(printed):
    """Return (similarity, seconds, file) of each line of the table."""
    rows = [line.split() for line in printed.splitlines()]
    return [(float(r[1]), float(r[2]), r[3]) for r in rows if len(r) == 4 and r[0].isdigit()]


def test_the_frame_itself_is_found_and_drawn(painted_features, tmp_path, capsys):
    videos, feats, _ = painted_features
    output = tmp_path / "found.png"
    words = ("--query", f"{videos / 'x.mp4'}@1.1", "-o", output, "--top", 4, "--min-gap", 0.3)
    assert search(feats, *words) == 0
    printed = capsys.readouterr()
    assert "Backbone:" in printed.err and str(output) in printed.out
    rows = table_of(printed.out)
    assert rows[0] == (pytest.approx(1, abs=1e-3), 1.1, "x.mp4")
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), reverse=True)
    assert [row[2] for row in rows].count("x.mp4") == 2  # two of each of two videos
    times = [row[1] for row in rows if row[2] == "x.mp4"]
    assert abs(times[0] - times[1]) >= 0.3 - 1e-9
    sheet = np.asarray(Image.open(output).convert("RGB"))
    assert read_index(sheet[24 : 24 + 64, 24 : 24 + 96]) == 111
    top = 24 + 160 + 24
    for n, (_, seconds, name) in enumerate(rows):
        left = 24 + n * 252
        spelled = (100 if name == "x.mp4" else 300) + round(seconds * 10)
        assert read_index(sheet[top : top + 160, left : left + 240]) == spelled


def test_videos_that_have_moved_leave_the_table(painted_features, tmp_path, capsys):
    videos, _, backbone = painted_features
    words = ("extract", videos, "-o", tmp_path / "feats", "--backbone", backbone)
    assert main([*map(str, words), "--format", "npy"]) == 0
    for path in (tmp_path / "feats").rglob("*.json"):
        sidecar = json.loads(path.read_text())
        sidecar |= {"source": f"/gone/{path.stem}", "backbone": "runs/gone"}
        path.write_text(json.dumps(sidecar))
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "q.png")
    words = (tmp_path / "feats", "--query", tmp_path / "q.png", "-o", tmp_path / "s.png")
    assert search(*words, "--backbone", backbone, "--top", 3) == 0
    printed = capsys.readouterr()
    assert len(table_of(printed.out)) == 3
    assert "There are no pictures of 2 of 2 videos. The first: " in printed.err
    assert "the video is not there any more. Put it back as /gone/" in printed.err
    sheet = np.asarray(Image.open(tmp_path / "s.png").convert("RGB"))
    assert (sheet == (213, 216, 220)).all(axis=2).sum() > 2 * 240 * 120
    assert search(*words) == 2
    assert "runs/gone, cannot be loaded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--query", "x.mp4@9"], "beyond the end"),
        (["--query", "x.mp4@abc"], "'abc' is no time from 0 on"),
        (["--query", "x.mp4@1", "-o", "found.jpg"], "must end in .png"),
        (["--query", "x.mp4@1", "-o", "x.mp4/found.png"], "x.mp4 is a file, not a folder"),
    ],
)
def test_mistakes_are_one_line(painted_features, tmp_path, monkeypatch, capsys, words, reason):
    videos, feats, _ = painted_features
    monkeypatch.chdir(tmp_path)
    shutil.copy(videos / "x.mp4", tmp_path)
    assert search(feats, *words) == 2
    error = capsys.readouterr().err
    assert reason in error and "Traceback" not in error
    assert not (tmp_path / "search.png").exists()


@pytest.mark.parametrize(
    ("flag", "value"), [("top", 0), ("top", 201), ("per_video", 0), ("min_gap", float("nan"))]
)
def test_settings_out_of_range(flag, value):
    with pytest.raises(ConfigError, match=f"--{flag.replace('_', '-')} is {value}; it must be"):
        SearchCommand(features=Path("feats"), query="a.png", **{flag: value})


def test_an_empty_folder_is_told_first(tmp_path, capsys):
    (tmp_path / "feats").mkdir()
    assert search(tmp_path / "feats", "--query", "q.png", "-o", tmp_path / "s.png") == 2
    assert "There are no features in" in capsys.readouterr().err
