import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from painted_videos import write_video
from prepared_folders import SETTINGS, write_prepared

from vidmoco.cli.main import main
from vidmoco.errors import ConfigError
from vidmoco.frames.index import FrameIndex, VideoRow, write_index
from vidmoco.frames.key import KEY_FILE
from vidmoco.frames.selection import Selection
from vidmoco.frames.store import open_index
from vidmoco.frames.update import (
    names_in_folder,
    paths_of,
    refuse_other_settings,
    remove_dead_shards,
)
from vidmoco.video.info import VideoInfo


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("monday/a", "monday/deep/b", "tuesday/c")):
        Path(f"{name}.mp4").parent.mkdir(parents=True, exist_ok=True)
        write_video(Path(f"{name}.mp4"), num_frames=4 + number, first_index=100 * number)
    return tmp_path


def prepare(*words):
    return main(["prepare", *words, "-o", "fr", "--fps", "None", "--workers", "1"])


def counts():
    return {row.name: row.num_frames for row in open_index(Path("fr")).videos}


MONDAY = {"a.mp4": 4, "deep/b.mp4": 5}


def test_a_command_adds_its_videos(here, capsys):
    assert prepare("monday") == 0
    first = Path("fr/shards/000000.tar").read_bytes()
    capsys.readouterr()
    assert prepare("tuesday/c.mp4") == 0
    assert "fr keeps 2 videos of other places" in capsys.readouterr().out
    assert counts() == MONDAY | {"c.mp4": 6}
    assert prepare("monday/a.mp4") == 0
    assert prepare("monday/deep") == 0  # known by its file, whatever its name would be here
    assert prepare(str(here / "tuesday"), "monday") == 0
    assert counts() == MONDAY | {"c.mp4": 6}
    assert Path("fr/shards/000000.tar").read_bytes() == first


def test_what_is_gone_from_a_given_folder_goes(here, capsys):
    assert prepare("monday", "tuesday") == 0
    Path("monday/deep/b.mp4").unlink()
    assert prepare("tuesday") == 0
    assert counts() == MONDAY | {"c.mp4": 6}
    capsys.readouterr()
    assert prepare("monday") == 0
    assert counts() == {"a.mp4": 4, "c.mp4": 6}
    out = capsys.readouterr().out
    assert "fr drops 1 video, gone from the given folders or refused: 'deep/b.mp4'" in out


def test_a_moved_folder_is_the_same(here, capsys):
    assert prepare("monday") == 0
    content = json.loads(Path("fr", KEY_FILE).read_text())["content"]
    shutil.move("monday", "elsewhere")
    assert prepare("elsewhere") == 0
    assert json.loads(Path("fr", KEY_FILE).read_text())["content"] == content
    shutil.copytree("elsewhere", "copy", copy_function=shutil.copy)  # at other times
    Path("link").symlink_to("elsewhere")
    for folder in ("copy", "link", "./elsewhere/../elsewhere"):
        assert prepare(folder) == 0
        assert counts() == MONDAY
    Path("elsewhere/a.mp4").unlink()  # and now it is known to be there
    assert prepare("elsewhere") == 0
    assert counts() == {"deep/b.mp4": 5}


def places():
    return {row.name: row.path for row in open_index(Path("fr")).videos}


def test_a_copy_does_not_take_the_place_of_its_original(here, capsys):
    assert prepare("monday") == 0
    before, content = places(), Path("fr", KEY_FILE).read_bytes()
    shutil.copytree("monday", "copy", copy_function=shutil.copy)  # with other times
    capsys.readouterr()
    assert prepare("copy") == 0
    out = capsys.readouterr().out
    assert (
        "fr has 2 given videos already, with the same content in the place of before: 'a.mp4', "
        "'deep/b.mp4'\n"
    ) in out
    assert "new place" not in out and "other places" not in out
    assert places() == before
    assert Path("fr", KEY_FILE).read_bytes() == content  # nothing was decoded
    Path("copy.csv").write_text("path,room\na.mp4,hall\ndeep/b.mp4,yard\n")
    assert prepare("copy", "--labels", "copy.csv") == 0  # its labels are the original's
    assert set(open_index(Path("fr")).frames["room"].to_pylist()) == {"hall", "yard"}
    shutil.rmtree("copy")
    assert prepare("monday", "tuesday") == 0
    assert counts() == MONDAY | {"c.mp4": 6}


def test_videos_that_have_moved_are_counted(here, capsys):
    assert prepare("monday", "tuesday") == 0
    shutil.copytree("monday", "copy")
    Path("monday/a.mp4").unlink()
    capsys.readouterr()
    assert prepare("copy") == 0
    out = capsys.readouterr().out
    assert "fr has 1 video in a new place, gone from the one of before: 'a.mp4'\n" in out
    assert "fr has 1 given video already, with the same content" in out
    assert "fr keeps 1 video of other places." in out
    assert places() == {
        "a.mp4": str(here / "copy/a.mp4"),
        "deep/b.mp4": str(here / "monday/deep/b.mp4"),
        "c.mp4": str(here / "tuesday/c.mp4"),
    }


def test_a_copy_gives_the_frames_that_are_lost(here):
    assert prepare("monday") == 0
    shutil.copytree("monday", "copy")
    Path("fr/shards/000000.tar").unlink()
    assert prepare("copy") == 0
    assert counts() == MONDAY


def test_another_video_of_the_same_name_gets_another_name(here):
    assert prepare("monday") == 0
    write_video(Path("tuesday/a.mp4"), num_frames=9, first_index=700)
    both = MONDAY | {"tuesday/a.mp4": 9, "c.mp4": 6}
    for words in (["tuesday"], ["tuesday"], ["monday", "tuesday"], ["tuesday/a.mp4"]):
        assert prepare(*words) == 0
        assert counts() == both
    write_video(Path("monday/a.mp4"), num_frames=7, first_index=300)  # a change is no other video
    assert prepare("monday", "tuesday") == 0
    assert counts() == both | {"a.mp4": 7}


def test_another_video_of_the_same_name_and_size_gets_another_name(here):
    """Some recorders cut or pad files to one size."""
    assert prepare("monday") == 0
    path, other = Path("monday/a.mp4"), Path("tuesday/a.mp4")
    write_video(other, num_frames=3, first_index=700)
    num_bytes = max(path.stat().st_size, other.stat().st_size)
    for one in (path, other):
        with one.open("ab") as file:
            file.write(bytes(num_bytes - one.stat().st_size))
        os.utime(one, ns=(10**18, 10**18))
    for words in (["monday"], ["tuesday"], ["monday", "tuesday"]):
        assert prepare(*words) == 0
    assert counts() == MONDAY | {"tuesday/a.mp4": 3, "c.mp4": 6}


def test_labels_of_what_is_not_given_stay(here):
    Path("m.csv").write_text("path,room,day\na.mp4,hall,mon\ndeep/b.mp4,yard,mon\n")
    assert prepare("monday", "--labels", "m.csv") == 0
    Path("t.csv").write_text("path,room\nc.mp4,attic\n")
    assert prepare("tuesday", "--labels", "t.csv") == 0
    frames = open_index(Path("fr")).frames.to_pylist()
    found = {(row["video"], row["room"], row["day"]) for row in frames}
    assert found == {
        ("a.mp4", "hall", "mon"), ("deep/b.mp4", "yard", "mon"), ("c.mp4", "attic", "")
    }  # fmt: skip


def test_a_folder_without_paths_learns_them(here):
    """As version 1 wrote it."""
    assert prepare("monday") == 0
    index = open_index(Path("fr"))
    write_index(Path("fr"), replace(index, videos=[replace(v, path="") for v in index.videos]))
    Path("monday/a.mp4").unlink()
    assert prepare("monday") == 0
    assert counts() == MONDAY  # it may be of another folder
    paths = {row.name: row.path for row in open_index(Path("fr")).videos}
    assert paths == {"a.mp4": "", "deep/b.mp4": f"{os.path.realpath('monday')}/deep/b.mp4"}


def test_shards_that_no_row_names_are_removed(here):
    words = ["--shard-mib", "0.0001"]  # a video a shard
    assert prepare("monday", *words) == 0
    Path("fr/shards/mine.tar").touch()
    Path("monday/a.mp4").unlink()
    dead = Path("fr/shards/000000.tar").read_bytes()
    assert prepare("monday", *words) == 0
    names = {path.name for path in Path("fr/shards").iterdir()}
    assert names == {"000001.tar", "mine.tar"}
    Path("fr/shards/000000.tar").write_bytes(dead)  # as a kill after the index leaves it
    assert prepare("monday", *words) == 0
    assert {path.name for path in Path("fr/shards").iterdir()} == names


def test_a_shard_may_be_kept(tmp_path):
    folder = write_prepared(tmp_path)
    index = open_index(folder)
    some = FrameIndex({}, [row for row in index.videos if row.shard in (1, 4)], index.frames)
    remove_dead_shards(folder, some, keep=[2])
    assert {path.name for path in (folder / "shards").iterdir()} == {
        "000001.tar", "000002.tar", "000004.tar"
    }  # fmt: skip


def test_settings_that_differ_are_named_by_their_flags(tmp_path):
    given = asdict(SETTINGS)
    refuse_other_settings(tmp_path, given, given, state="was prepared")
    other = asdict(replace(SETTINGS, fps=2.0, selection=Selection(black=True)))
    with pytest.raises(ConfigError) as caught:
        refuse_other_settings(Path("fr"), other, given, state="was prepared")
    assert str(caught.value) == (
        "fr was prepared with --fps 2 --drop-black, and this command has --fps None "
        "--no-drop-black (the default). Give --fps 2 --drop-black, or another folder with -o."
    )
    other, given = (asdict(replace(SETTINGS, short_side=side)) for side in (128, 256))
    with pytest.raises(ConfigError) as caught:
        refuse_other_settings(Path("fr"), other, given, state="was prepared")
    assert str(caught.value) == (
        "fr was prepared with --short-side 128, and this command has --short-side 256 (the "
        "default). Give --short-side 128, or another folder with -o."
    )
    for strange in ({"codec": 1}, [1], None, given | {"selection": 3, "codec": 1}):
        with pytest.raises(ConfigError, match="settings that this version of vidmoco does not"):
            refuse_other_settings(Path("fr"), strange, given, state="was prepared")


def row_of(name, path, num_bytes=1):
    return VideoRow(
        name=name, num_bytes=num_bytes, mtime_ns=1, duration_seconds=1.0, aspect_ratio=1.0,
        num_frames=1, shard=0, start=0, end=1, path=path,
    )  # fmt: skip


def test_a_name_that_is_taken_twice_is_refused():
    video = VideoInfo(root="/2/day", key="a.mp4", num_bytes=5, mtime_ns=1)
    assert paths_of([video]) == ["/2/day/a.mp4"]
    rows = [row_of("a.mp4", "/1/day/a.mp4")]
    assert names_in_folder({"a.mp4": video}, rows) == {"a.mp4": "day/a.mp4"}
    other = VideoInfo(root="/4", key="day/a.mp4", num_bytes=6, mtime_ns=1)
    both = {"a.mp4": "day/a.mp4", "day/a.mp4": "4/day/a.mp4"}
    assert names_in_folder({"a.mp4": video, "day/a.mp4": other}, rows) == both
    with pytest.raises(ConfigError, match=r"another video that is called 'day/a.mp4', of these"):
        names_in_folder({"day/a.mp4": other, "a.mp4": video}, rows)
    rows.append(row_of("day/a.mp4", "/3/day/a.mp4"))
    with pytest.raises(ConfigError, match=r"another video that is called 'day/a.mp4', of /3/day"):
        names_in_folder({"a.mp4": video}, rows)
