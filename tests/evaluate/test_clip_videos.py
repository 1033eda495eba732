import pytest

from vidmoco.errors import DataError
from vidmoco.evaluate.clip_videos import require_no_copies, with_copies_together, with_keys
from vidmoco.evaluate.labelled_clips import Clip
from vidmoco.video.info import VideoInfo


def catalog(*keys, contents=()):
    """Videos by key, with the content of each, or another one."""
    contents = dict(contents)
    return {
        key: VideoInfo(root="/v", key=key, num_bytes=1, mtime_ns=1, content=contents.get(key, key))
        for key in keys
    }


def found(names, videos):
    clips, missing = with_keys([Clip(name, "a", name) for name in names], videos)
    assert [clip.group for clip in clips] == list(names)
    return [clip.path for clip in clips], missing


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Bus/v_1.mp4", "Bus/v_1.mp4"),
        ("./Bus/v_1.mp4", "Bus/v_1.mp4"),
        ("Bus/v_1", "Bus/v_1.mp4"),
        ("Bus\\v_1", "Bus/v_1.mp4"),
        ("Bus/v_1.avi", "Bus/v_1.mp4"),
        ("v_1.avi", "Bus/v_1.mp4"),
        ("v_1", "Bus/v_1.mp4"),
        ("a.b", "Car/a.b.mp4"),
        ("-xYz_12", "Car/-xYz_12_000010_000020.mp4"),
        ("Car/-xYz_12", "Car/-xYz_12_000010_000020.mp4"),
    ],
)
def test_names_that_fit_one_video(name, key):
    videos = catalog("Bus/v_1.mp4", "Car/a.b.mp4", "Car/-xYz_12_000010_000020.mp4")
    assert found([name], videos) == ([key], {})


@pytest.mark.parametrize("name", ["Car/v_1", "v_", "", "locked", "v_1.txt", "x/Bus/v_1.mp4"])
def test_names_that_fit_none(name):
    assert found([name], catalog("Bus/v_1.mp4", "locked/")) == (
        [name],
        {name: "not in the folder of videos"},
    )


def test_several_that_fit_are_named():
    videos = catalog("a/x.mp4", "b/x.mp4", "c/id_000000_000010.mp4", "c/id_000010_000020.mp4")
    names, missing = found(["x", "a/x", "id"], videos)
    assert names == ["x", "a/x.mp4", "id"]
    assert missing == {
        "x": "fits 2 videos, such as a/x.mp4 and b/x.mp4",
        "id": "fits 2 videos, such as c/id_000000_000010.mp4 and c/id_000010_000020.mp4",
    }


def test_a_video_that_another_row_names_is_not_meant():
    assert found(["a/x.avi", "a/x.mp4"], catalog("a/x.mp4")) == (
        ["a/x.avi", "a/x.mp4"],
        {"a/x.avi": "not in the folder of videos"},
    )


CLIPS = [Clip(f"{n}.mp4", "a", group) for n, group in enumerate("xyzzw")]
VIDEOS = catalog(
    *(clip.path for clip in CLIPS), contents={"0.mp4": "1", "1.mp4": "1", "3.mp4": "1"}
)


def test_copies_are_one_group():
    joined = with_copies_together(CLIPS, VIDEOS)
    assert [clip.group for clip in joined] == ["x", "x", "x", "x", "w"]
    chain = catalog(*VIDEOS, contents={"0.mp4": "1", "2.mp4": "1", "1.mp4": "2", "3.mp4": "2"})
    assert [c.group for c in with_copies_together(CLIPS, chain)] == ["x", "x", "x", "x", "w"]
    # d joins c, which joins b, which joins a.
    in_turn = [Clip(f"{n}.mp4", "a", group) for n, group in enumerate("dccbba")]
    videos = catalog(
        *(c.path for c in in_turn), contents={f"{n}.mp4": str(n // 2) for n in range(6)}
    )
    assert {clip.group for clip in with_copies_together(in_turn, videos)} == {"a"}
    unreadable = catalog(*VIDEOS, contents=dict.fromkeys(VIDEOS, ""))
    assert with_copies_together(CLIPS, unreadable) == CLIPS


def test_copies_in_both_parts_are_refused():
    splits = {"x": "train", "y": "train", "z": "val", "w": "val"}
    with pytest.raises(
        DataError,
        match=r"^1 video is in both train and val, by content, such as '0.mp4' and '3.mp4'",
    ):
        require_no_copies(CLIPS, splits, VIDEOS)
    require_no_copies(CLIPS, dict.fromkeys("xyzw", "val"), VIDEOS)
    require_no_copies(CLIPS, splits, catalog(*VIDEOS))
