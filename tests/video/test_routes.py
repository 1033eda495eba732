import dataclasses

import pytest

from vidmoco.video.routes import route_of
from vidmoco.video.timeline import Timeline

PLAIN = Timeline(
    num_frames=100,
    start_seconds=0.0,
    last_seconds=9.9,
    duration_seconds=10.0,
    frame_rate=10.0,
    variable_rate=False,
    keyframe_seconds=1.0,
    edit_list=False,
    leading_pictures=False,
    starts_with_key=True,
    estimated=False,
    num_filled=0,
    ticks=b"",
    damaged=False,
    ticks_per_second=15360,
)
ARGUMENTS = {
    "container": "mov",
    "codec": "h264",
    "pixel_format": "yuv420p",
    "width": 320,
    "mirrored": False,
    "foreign_codec": "",
    "num_bytes": 64 * 2**20,
    "size_changes": False,
    "start_known": True,
    "marks_wrong": False,
}


def test_a_plain_video_is_decords():
    assert route_of(**ARGUMENTS, timeline=PLAIN) == ("decord", "")


def test_a_variable_rate_is_no_reason():
    timeline = dataclasses.replace(PLAIN, variable_rate=True)
    assert route_of(**ARGUMENTS, timeline=timeline) == ("decord", "")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"container": "mpegts"}, "mpegts"),
        ({"container": "avi"}, "avi"),
        ({"codec": "hevc"}, "hevc"),
        ({"codec": "mpeg4"}, "mpeg4"),
        ({"pixel_format": "yuv444p"}, "yuv444p"),
        ({"pixel_format": "yuv420p10le"}, "yuv420p10le"),
        ({"width": 191}, "narrower"),
        ({"mirrored": True}, "mirrored"),
        ({"foreign_codec": "magicyuv"}, "magicyuv"),
        ({"size_changes": True}, "changes"),
        ({"num_bytes": 64 * 2**20 + 1}, "64 MiB"),
        ({"start_known": False}, "start"),
        ({"marks_wrong": True}, "marks key frames"),
    ],
)
def test_what_the_file_is(change, word):
    route, reason = route_of(**(ARGUMENTS | change), timeline=PLAIN)
    assert route == "pyav"
    assert word in reason


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"edit_list": True}, "edit list"),
        ({"start_seconds": 0.001}, "start"),
        ({"start_seconds": -0.5}, "start"),
        ({"leading_pictures": True}, "open GOP"),
        ({"starts_with_key": False}, "key frame"),
        ({"estimated": True}, "out of order"),
        ({"damaged": True}, "damaged"),
        ({"ticks_per_second": 0}, "24 bits"),
        ({"duration_seconds": 300.0}, "24 bits"),
    ],
)
def test_when_its_frames_are_shown(change, word):
    route, reason = route_of(**ARGUMENTS, timeline=dataclasses.replace(PLAIN, **change))
    assert route == "pyav"
    assert word in reason
