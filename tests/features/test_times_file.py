import pytest

from vidmoco.config.frame_selection import EVERY_FRAME, ClipSelection, FrameSelection
from vidmoco.errors import ConfigError
from vidmoco.features.times_file import read_selections

NAMES = {"a.mp4": ["x/a.mp4"], "b.mp4": ["x/b.mp4", "y/b.mp4"], "/v/c.mp4": ["c.mp4"]}


def read_times(path, names, selection=EVERY_FRAME):
    return {name: one.times for name, one in read_selections(path, names, selection).items()}


def read_clips(folder, content, **selection):
    found = read_selections(write(folder, content), NAMES, FrameSelection(**selection))
    return {name: one.clips for name, one in found.items()}


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
    clips = "video,start,end,class\na.mp4,2,3,z\n/v/c.mp4,4,5,y\na.mp4,0:01,2.5,x\na.mp4,2,3,z\n"
    found = read_clips(tmp_path, clips, fps=2)
    assert found == {"x/a.mp4": ((1.0, 2.5), (2.0, 3.0)), "c.mp4": ((4.0, 5.0),)}
    kept = {"num_frames": 2, "start": 1.0, "end": 9.0}
    found = read_selections(write(tmp_path, clips), NAMES, FrameSelection(**kept))
    assert found["c.mp4"] == ClipSelection(**kept, clips=((4.0, 5.0),))


def test_an_empty_start_or_end_is_that_of_the_video(tmp_path):
    clips = "video,start,end\na.mp4,,2.5\n/v/c.mp4,4, \na.mp4,,\n"
    found = read_clips(tmp_path, clips, fps=2)
    assert found == {"x/a.mp4": ((0.0, 2.5), (0.0, None)), "c.mp4": ((4.0, None),)}


@pytest.mark.parametrize(
    ("content", "selection", "expected"),
    [
        ("video,start,end\na.mp4,1,2\n", {}, "Say which frames of each: --fps or --num-frames"),
        ("video,seconds\na.mp4,1\n", {"fps": 2}, "has times, and --fps is given too"),
        ("video,start\na.mp4,1\n", {"fps": 2}, "has no column 'end'"),
        ("video,start,end\na.mp4,3,0:03\n", {"fps": 2}, "row 1: the clip ends at '0:03', which"),
        (
            "video,start,end\na.mp4,,0\n",
            {"fps": 2},
            "ends at '0', which must be after its start, '0'",
        ),
        ("video,start,end\na.mp4,x,3\n", {"fps": 2}, "row 1: the start is 'x'"),
        ("video,start,end\na.mp4,1\n", {"fps": 2}, "row 1: the end is None"),
        ("video,start,end\na.mp4,1,nan\n", {"fps": 2}, "or empty for that of the video"),
    ],
)
def test_clips_that_cannot_be_used(tmp_path, content, selection, expected):
    with pytest.raises(ConfigError) as refused:
        read_times(write(tmp_path, content), NAMES, FrameSelection(**selection))
    assert expected in str(refused.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"Cannot read the times .*times\.csv: "):
        read_times(tmp_path / "times.csv", NAMES)
