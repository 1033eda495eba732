from pathlib import Path

import pytest

from vidmoco.video.info import VideoInfo


def test_path_and_aspect_ratio():
    info = VideoInfo(
        root="/videos",
        key="a/b c.mp4",
        num_bytes=1,
        mtime_ns=2,
        width=720,
        height=576,
        sample_aspect_ratio=16 / 15,
    )
    assert info.path == Path("/videos/a/b c.mp4")
    assert info.aspect_ratio == pytest.approx(4 / 3)


def test_a_refused_video_has_an_aspect_ratio_too():
    info = VideoInfo(root="/", key="x", num_bytes=0, mtime_ns=0, reason="the file is empty")
    assert info.route == "refused"
    assert info.aspect_ratio == 1.0
