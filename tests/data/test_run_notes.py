import json

import numpy as np
import pytest
from painted_videos import write_videos
from rich.console import Console

from vidmoco.cli.main import main
from vidmoco.config.recipe import load_recipe, with_settings
from vidmoco.data.run_notes import cuts_of_frames, find_cuts, key_of_run, save_cuts
from vidmoco.data.source import open_source
from vidmoco.errors import CheckpointError
from vidmoco.frames.prepared import open_prepared

QUIET = Console(quiet=True)


def config(videos, segments="shots"):
    settings = {"videos": [videos], "data": {"segments": segments}, "workers": 1}
    return with_settings(load_recipe("tiny_cpu"), settings)


def test_cuts_are_found_once_and_noted(tmp_path):
    videos = config("v")
    assert find_cuts(config("v", "time"), None, list) is None
    assert find_cuts(videos, None, lambda: [(1.5,), ()]) == [(1.5,), ()]
    save_cuts([(1.5,), ()], tmp_path)
    assert find_cuts(videos, tmp_path, list) == [(1.5,), ()]
    save_cuts(None, tmp_path / "nowhere")
    (tmp_path / "shots.json").write_text("[")
    with pytest.raises(CheckpointError, match="the shots of the run, cannot be read"):
        find_cuts(videos, tmp_path, list)


def test_shots_of_videos_and_of_their_prepared_frames_are_sources(tmp_path, monkeypatch):
    """Two videos in one file are two shots."""
    monkeypatch.setenv("VIDMOCO_CACHE", str(tmp_path / "cache"))
    write_videos(tmp_path / "v", 2)
    monkeypatch.setattr("vidmoco.video.shots.find_cuts", None)
    monkeypatch.setattr("vidmoco.data.source.cuts_of_videos", lambda *_, **__: [(0.5,), ()])
    source = open_source(config(tmp_path / "v"), resume=None, console=QUIET)
    assert source.sources.rows.tolist()[:2] == [0, 0] and 0.5 in source.sources.starts
    (tmp_path / "run").mkdir()
    source.save(tmp_path / "run")
    monkeypatch.setattr("vidmoco.data.source.cuts_of_videos", None)
    again = open_source(config(tmp_path / "v"), resume=tmp_path / "run", console=QUIET)
    np.testing.assert_array_equal(again.sources.starts, source.sources.starts)
    words = ["prepare", str(tmp_path / "v"), "-o", str(tmp_path / "f"), "--fps", "None"]
    assert main([*words, "--workers", "1"]) == 0
    frames = open_prepared(tmp_path / "f")
    assert len(cuts_of_frames(frames, workers=1, console=QUIET)) == 2


def test_the_key_of_prepared_frames(tmp_path):
    (tmp_path / "frames.json").write_text(json.dumps({"a": 1}))
    assert key_of_run(tmp_path) == {"a": 1}
    (tmp_path / "frames.json").write_text("{")
    with pytest.raises(CheckpointError, match="identifies the frames that the run trains on"):
        key_of_run(tmp_path)
