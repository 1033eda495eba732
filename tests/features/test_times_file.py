import pytest

from vidmoco.config.frame_selection import EVERY_FRAME, FrameSelection
from vidmoco.errors import ConfigError
from vidmoco.features.times_file import read_times as read

NAMES = {"a.mp4": ["x/a.mp4"], "b.mp4": ["x/b.mp4", "y/b.mp4"], "/v/c.mp4": ["c.mp4"]}


def read_times(path, names, selection=EVERY_FRAME):
    return read(path, names, selection)


def write(folder, content):
    path = folder / "times.csv"
    path.write_text(content)
    return path


def test_times_of_each_video_in_order(tmp_path):
    path = write(tmp_path, "seconds,video,note\n2.5,a.mp4,x\n0,/v/c.mp4,y\n1,a.mp4,z\n")
    assert read_times(path, NAMES) == {"x/a.mp4": (1.0, 2.5), "c.mp4": (0.0,)}
    path = write(tmp_path, "seconds,video\n1:02.5,a.mp4\n1:00:00,a.mp4\n")
    assert read_times(path, NAMES) == {"x/a.mp4": (62.5, 3600.0)}
    path = write(tmp_path, "seconds,video\n2.5,./a.mp4\n")
    assert read_times(path, NAMES) == {"x/a.mp4": (2.5,)}


def test_a_relative_path_is_one_of_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "video,seconds\nv/d.mp4,1\n")
    assert read_times(path, {str(tmp_path / "v/d.mp4"): ["d"]}) == {"d": (1.0,)}
    path = write(tmp_path, "video,seconds\n~d.mp4,1\n")  # no user has this name
    assert read_times(path, {str(tmp_path / "~d.mp4"): ["d"]}) == {"d": (1.0,)}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("video,seconds\ngone,1\n", "row 1 names none of these videos: 'gone'"),
        ("video,seconds\na.mp,1\n", "'a.mp'. Did you mean 'a.mp4'?"),
        ("video,seconds\nb.mp4,1\n", "row 1 names several of these videos: 'b.mp4'"),
        ("video,seconds\na.mp4,1\na.mp4,x\n", "row 2: the time is 'x'; it must be 0 or more"),
        ("video,seconds\na.mp4,-1\n", "row 1: the time is '-1'"),
        ("video,seconds\na.mp4,inf\n", "row 1: the time is 'inf'"),
        ("video,seconds\na.mp4\n", "row 1: the time is None"),
        ("video,second\na.mp4,1\n", "has no column 'seconds'. Did you mean 'second'?"),
        ("video,seconds\n", "has no rows"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, content, expected):
    with pytest.raises(ConfigError) as refused:
        read_times(write(tmp_path, content), NAMES)
    assert expected in str(refused.value)


def test_clips(tmp_path):
    clips = "video,start,end,class\na.mp4,0:01,2.5,x\n/v/c.mp4,4,5,y\na.mp4,2,3,z\n"
    found = read_times(write(tmp_path, clips), NAMES, FrameSelection(fps=2))
    assert found == {"x/a.mp4": (1.0, 1.5, 2.0, 2.5), "c.mp4": (4.0, 4.5)}
    found = read_times(write(tmp_path, clips), NAMES, FrameSelection(num_frames=2))
    assert found == {"x/a.mp4": (1.375, 2.125, 2.25, 2.75), "c.mp4": (4.25, 4.75)}


@pytest.mark.parametrize(
    ("content", "selection", "expected"),
    [
        ("video,start,end\na.mp4,1,2\n", {}, "Say which frames of each: --fps or --num-frames"),
        ("video,seconds\na.mp4,1\n", {"fps": 2}, "has times, and --fps is given too"),
        ("video,start\na.mp4,1\n", {"fps": 2}, "has no column 'end'"),
        ("video,start,end\na.mp4,3,0:03\n", {"fps": 2}, "row 1: the clip ends at '0:03', which"),
        ("video,start,end\na.mp4,x,3\n", {"fps": 2}, "row 1: the start is 'x'"),
    ],
)
def test_clips_that_cannot_be_used(tmp_path, content, selection, expected):
    with pytest.raises(ConfigError) as refused:
        read_times(write(tmp_path, content), NAMES, FrameSelection(**selection))
    assert expected in str(refused.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"Cannot read the times .*times\.csv: "):
        read_times(tmp_path / "times.csv", NAMES)
