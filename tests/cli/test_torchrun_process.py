"""It does what the command does, with settings in a file that another process has checked."""

import json

from child_processes import Process
from painted_videos import write_video

from vidmoco.config.extract import ExtractCommand
from vidmoco.config.plain import to_plain


def run(videos, **settings):
    command = ExtractCommand(videos=(videos,), output=videos.parent / "feats", **settings)
    settings = videos.parent / "extract.json"
    settings.write_text(json.dumps(to_plain(command)))
    process = Process(["-m", "vidmoco.cli.torchrun_process", str(settings)])
    return process.wait(), process


def test_a_mistake_is_a_line(tmp_path):
    (tmp_path / "empty").mkdir()
    code, process = run(tmp_path / "empty")
    (line,) = process.err.splitlines()
    assert code == 2 and line.startswith("vidmoco: ") and str(tmp_path / "empty") in line


def test_videos_are_extracted(tmp_path):
    write_video(tmp_path / "videos" / "a.mp4", num_frames=5)
    code, process = run(tmp_path / "videos", backbone="random:test_resnet", device="cpu", workers=1)
    assert code == 0, process.err
    assert "1 extracted (5 rows)" in process.out
