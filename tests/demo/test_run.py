import dataclasses
import json

import numpy as np
import pytest

from vidmoco.cli.main import main
from vidmoco.demo import run as demo_module


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The demo's way with 40 videos and 3 steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_module, "NUM_VIDEOS", 40)
    monkeypatch.setattr(demo_module, "PER_CLASS_TRAIN", 3)
    monkeypatch.setattr(demo_module, "PER_CLASS_VAL", 2)
    load = demo_module.load_recipe

    def short(name):
        recipe = load(name)
        data = dataclasses.replace(recipe.data, workers=0)
        return dataclasses.replace(recipe, steps=3, data=data)

    monkeypatch.setattr(demo_module, "load_recipe", short)


def test_the_demo_leaves_all_it_promises(small, tmp_path, capsys):
    assert main(["demo"]) == 0
    folder = tmp_path / "vidmoco-demo"
    printed = capsys.readouterr()
    assert "untrained" in printed.out
    assert "what_was_learnt.png" in printed.out
    assert "$ vidmoco evaluate" in printed.err
    assert (folder / "what_was_learnt.png").read_bytes().startswith(b"\x89PNG")
    assert printed.out.rstrip().endswith("vidmoco-demo/report.html")
    page = (folder / "report.html").read_text()
    assert "k = 20" in page
    assert np.load(folder / "clip.npy").shape == (48, 512)
    rows = json.loads((folder / "results.json").read_text())["rows"]
    assert [row["source"] for row in rows] == [
        "random",
        "vidmoco-demo/runs/single_frame",
        "vidmoco-demo/runs/pairs",
    ]
    control = (folder / "runs" / "single_frame" / "config.yaml").read_text()
    assert "single_frame: true" in control
    assert "single_frame: false" in (folder / "runs" / "pairs" / "config.yaml").read_text()


def test_a_second_demo_takes_a_folder_of_its_own(small, tmp_path):
    (tmp_path / "vidmoco-demo").mkdir()
    assert demo_module._new_folder(None).name == "vidmoco-demo-2"


def test_a_folder_that_is_not_empty_is_refused(small, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    assert main(["demo", "-o", str(tmp_path / "full")]) == 2
    assert "not empty" in capsys.readouterr().err
