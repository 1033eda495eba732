from dataclasses import fields
from itertools import combinations

import pytest

from vidmoco.config.extract import ExtractCommand
from vidmoco.config.frame_selection import (
    EVERY_FRAME,
    SELECTION_KEYS,
    ClipSelection,
    FrameSelection,
)
from vidmoco.errors import ConfigError

WAYS = {
    "--fps": {"fps": 2.0},
    "--every": {"every": 3},
    "--num-frames": {"num_frames": 4},
    "--keyframes": {"keyframes": True},
    "--scenes": {"scenes": "first"},
    "--times": {"times": (1.0, 2.0)},
}


@pytest.mark.parametrize(("one", "other"), list(combinations(WAYS, 2)))
def test_two_ways_are_refused_and_both_named(one, other):
    with pytest.raises(ConfigError, match=rf"^{one} and {other} are both given\. Give only one\.$"):
        FrameSelection(**WAYS[one], **WAYS[other])


@pytest.mark.parametrize("way", WAYS)
def test_a_range_goes_with_every_way(way):
    FrameSelection(**WAYS[way], start=1, end=2)


@pytest.mark.parametrize("way", WAYS)
def test_all_frames_of_a_shot_may_be_thinned(way):
    if way in ("--fps", "--every", "--keyframes"):
        FrameSelection(**WAYS[way], scenes="all")
    elif way != "--scenes":
        with pytest.raises(ConfigError, match="are both given"):
            FrameSelection(**WAYS[way], scenes="all")


@pytest.mark.parametrize(
    "wrong",
    [
        {"fps": 0.0},
        {"fps": 1001.0},
        {"every": 0},
        {"num_frames": 0},
        {"times": (1.0, -1.0)},
        {"times": (float("nan"),)},
        {"start": -1.0},
        {"start": 2.0, "end": 2.0},
    ],
)
def test_what_is_out_of_range_is_refused_by_its_flag(wrong):
    flag = list(wrong)[-1].replace("_", "-")
    with pytest.raises(ConfigError, match=f"^--{flag} is "):
        FrameSelection(**wrong)


def test_the_times_of_a_range():
    middles = FrameSelection(num_frames=2).times_between(1.0, 3.0)
    assert middles == [1.5, 2.5]
    tenths = FrameSelection(fps=10.0).times_between(0.8, 1.1)  # which are 0.30000000000000004 s
    assert tenths == pytest.approx([0.8, 0.9, 1.0])
    assert FrameSelection(fps=10.0).times_between(1.0, 1.01) == [1.0]


def test_a_sidecar_keeps_what_is_not_the_default():
    assert EVERY_FRAME.as_json() == {"fps": None, "every": 1}
    given = FrameSelection(times=(2.0, 1.0), start=0.5)
    assert given.as_json() == {"fps": None, "every": 1, "times": [2.0, 1.0], "start": 0.5}
    assert {field.name for field in fields(FrameSelection)} == set(SELECTION_KEYS)
    clips = ClipSelection(fps=2.0, clips=((1.0, 2.5), (4.0, None)))
    assert clips.as_json() == {"fps": 2.0, "every": 1, "clips": [[1.0, 2.5], [4.0, None]]}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_times_excludes_the_other_ways(tmp_path, way):
    def given():
        ExtractCommand(
            videos=(tmp_path,),
            output=tmp_path,
            frames=FrameSelection(**WAYS[way]),
            times_file=tmp_path / "times.csv",
        )

    if way in ("--fps", "--num-frames"):  # of the clips that may be in the file
        given()
    else:
        with pytest.raises(ConfigError, match=f"^{way} and --times-file are both given"):
            given()


def test_all_frames_of_a_shot_are_for_a_pool(tmp_path):
    with pytest.raises(ConfigError, match="--scenes all needs --pool mean or max"):
        ExtractCommand(videos=(tmp_path,), output=tmp_path, frames=FrameSelection(scenes="all"))
