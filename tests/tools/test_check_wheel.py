import runpy
import subprocess
import sys

import pytest
from cluster_files import ROOT, require_parsed

from vidmoco.video.probe import probe_video

TOOL = runpy.run_path(str(ROOT / "tools" / "check_wheel.py"), run_name="check_wheel")


def test_a_python_that_there_is_not_is_skipped(tmp_path):
    assert TOOL["environment"](tmp_path, "3.99") is None


def test_the_environment_is_outside_of_the_checkout_and_empty(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)  # as the tool does
    python = TOOL["environment"](tmp_path, sys.executable)
    assert python.is_file()
    found = subprocess.run(
        [python, "-c", "import vidmoco"], check=False, capture_output=True, cwd=tmp_path
    )
    assert found.returncode == 1 and b"ModuleNotFoundError" in found.stderr


def test_the_training_has_flags_that_there_are(tmp_path):
    require_parsed(["pretrain", "videos", "--run", "run1", *TOOL["SMALL"].split()])


def test_a_command_that_fails_ends_the_check(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        TOOL["run"](sys.executable, "-c", "raise SystemExit(3)", cwd=tmp_path)


def test_the_videos_can_be_read(tmp_path):
    path = tmp_path / "a.mp4"
    subprocess.run([sys.executable, "-c", TOOL["VIDEOS"], path], check=True)
    info = probe_video(path, root=tmp_path)
    assert (info.route, info.num_frames) == ("pyav", 20)
