import json

import pytest

from vidmoco.cli import commands
from vidmoco.cli.main import main


@pytest.mark.parametrize(
    "words", [["scan", "it"], ["prepare", "it", "-o", "out"], ["extract", "it", "-o", "out"]]
)
def test_prepared_frames_are_no_videos(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "frames.json").write_text(json.dumps({"format": "vidmoco.frames"}))
    assert main(words) == 2
    assert "it has prepared frames, which only pretrain and preview read" in capsys.readouterr().err


def test_annotations_may_be_called_as_the_key_of_prepared_frames(tmp_path, capsys):
    (tmp_path / "frames.json").write_text('{"annotations": []}')
    assert main(["scan", str(tmp_path)]) == 2
    assert "No video file in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        ("sklearn", ["demo"], "vidmoco demo needs scikit-learn, which is not installed: pip insta"),
        ("matplotlib", ["demo"], "vidmoco demo needs matplotlib, which is not installed: pip"),
        ("onnxscript", ["export", ".", "--to", "onnx", "--output", "a.onnx"], "'vidmoco[onnx]'"),
    ],
)
def test_a_missing_package_is_told_before_anything_is_made(
    tmp_path, monkeypatch, capsys, module, words, said
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "find_spec", lambda name: None if name == module else name)
    monkeypatch.setattr(commands, "require_sources", lambda *sources: None)
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())
