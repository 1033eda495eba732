import numpy as np
import pytest
from painted_videos import read_index, write_video

import vidmoco
from vidmoco.api import frames as api_frames
from vidmoco.config.limits import Limits
from vidmoco.errors import ConfigError, VideoError


@pytest.fixture
def clip(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=20)
    return tmp_path / "a.mp4"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, list(range(20))),
        ({"every": 5}, [0, 5, 10, 15]),
        ({"fps": 2}, [0, 5, 10, 15]),
        ({"times": [1.5, 0.2, 0.2]}, [15, 2, 2]),
        ({"num_frames": 2, "start": 1.0}, [12, 17]),
        ({"end": 0.3}, [0, 1, 2]),
        ({"times": ["0:01.5", 0.2]}, [15, 2]),
        ({"times": "0:01.5"}, [15]),
        ({"every": 2, "start": "0:01", "end": "0:00:01.5"}, [10, 12, 14]),
    ],
)
def test_frames_and_their_times(clip, asked, expected):
    frames, times = vidmoco.read_frames(clip, **asked)
    assert frames.shape[1:] == (64, 96, 3) and frames.dtype == np.uint8
    assert [read_index(frame) for frame in frames] == expected
    np.testing.assert_allclose(times, np.array(expected) / 10, atol=1e-9)


def test_both_readings_have_the_limits(clip, monkeypatch):
    """Else a limit that is raised holds for the scan alone, or for the decoding."""
    given = []
    for name in ("look_up", "select_frames"):
        honest = getattr(api_frames, name)

        def noting(*args, _honest=honest, **options):
            given.append(options.get("limits"))
            return _honest(*args, **options)

        monkeypatch.setattr(api_frames, name, noting)
    vidmoco.read_frames(clip, limits={"max_pixels": 10**4})
    assert given == [Limits(max_pixels=10**4)] * 2


def test_what_is_refused(clip, tmp_path):
    with pytest.raises(ConfigError, match="a folder"):
        vidmoco.read_frames(tmp_path)
    with pytest.raises(ConfigError, match="is a URL, and read_frames takes a file"):
        vidmoco.read_frames("https://example.com/a.mp4")
    with pytest.raises(ConfigError, match="Did you mean 'fps'"):
        vidmoco.read_frames(clip, fbs=2)
    with pytest.raises(VideoError, match="has no frame at 7 s"):
        vidmoco.read_frames(clip, times=[7])
    with pytest.raises(VideoError, match="more than 100 pixels"):
        vidmoco.read_frames(clip, limits={"max_pixels": 100})
    (tmp_path / "no.mp4").write_text("no video")
    with pytest.raises(VideoError, match="it is a text file"):
        vidmoco.read_frames(tmp_path / "no.mp4")
