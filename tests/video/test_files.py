import os
import stat
from collections import Counter
from pathlib import Path

import pytest
from painted_videos import write_video

from vidmoco.video import files
from vidmoco.video.files import (
    describe_unknown,
    find_moov,
    find_videos,
    is_encrypted_mp4,
    look_at,
    state_of,
)


def keys(root):
    return sorted(found.key for found in find_videos(root))


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_suffixes_in_any_case_and_nothing_else(tmp_path):
    for name in (
        "a.mp4",
        "B.MP4",
        "deep/er/c.MkV",
        "notes.txt",
        "mp4",
        "d.mp4.part",
        ".hidden.webm",
    ):
        touch(tmp_path / name)
    assert keys(tmp_path) == [".hidden.webm", "B.MP4", "a.mp4", "deep/er/c.MkV"]


def test_what_macos_and_tools_hide(tmp_path):
    """AppleDouble files have a suffix of videos; folders such as .git hold copies."""
    root = tmp_path / ".mine"  # the folder that is given may be hidden itself
    for name in ("a.mp4", "._a.mp4", "._b.txt", ".git/annex/x.mp4", "sub/.old/b.mp4", "sub/c.mp4"):
        touch(root / name)
    others = Counter()
    assert [found.key for found in find_videos(root, others=others)] == ["a.mp4", "sub/c.mp4"]
    assert others == {"._*": 1, "hidden folder": 2}


def test_a_link_into_a_hidden_folder_has_its_own_name(tmp_path):
    """As git-annex and datalad store files."""
    object_ = touch(tmp_path / ".git/annex/objects/SHA256--0123.mp4")
    (tmp_path / "subject01.mp4").symlink_to(object_)
    folder = touch(tmp_path / ".data/clips/b.mp4").parent
    (tmp_path / "clips").symlink_to(folder)
    assert keys(tmp_path) == ["clips/b.mp4", "subject01.mp4"]


def test_the_name_of_a_link_is_that_of_a_file_without_a_suffix(tmp_path):
    """As the cache of Hugging Face stores files."""
    content = b"\0\0\0\x18ftypisom" + bytes(400)
    for name in ("0123", "4567"):
        touch(tmp_path / "blobs" / name, content)
    link = tmp_path / "snapshots" / "main" / "x.mp4"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../blobs/0123")
    others = Counter()
    found = [found.key for found in find_videos(tmp_path, others=others)]
    assert found == ["snapshots/main/x.mp4", "blobs/4567"]
    assert not others


def test_size_and_time(tmp_path):
    path = touch(tmp_path / "a.mp4", b"12345")
    (found,) = find_videos(tmp_path)
    assert (found.num_bytes, found.mtime_ns) == (5, path.stat().st_mtime_ns)
    assert not found.problem


def test_awkward_names(tmp_path):
    names = [
        "-rf.mp4",
        "Taï ünïcode.avi",
        "[bold]x[/].mp4",
        "a:b.mp4",
        "q\nuote'\".mp4",
        "same.avi",
    ]
    for name in [*names, "same.mp4"]:
        touch(tmp_path / name)
    assert keys(tmp_path) == sorted([*names, "same.mp4"])


def test_a_name_that_is_not_utf8_is_a_problem(tmp_path):
    touch(tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    (found,) = find_videos(tmp_path)
    assert found.key == "caf\\xe9.mp4"
    assert "UTF-8" in found.problem


def test_a_name_with_a_backslash_is_not_mistaken_for_one_that_is_escaped(tmp_path):
    touch(tmp_path / "caf\\xe9.mp4")
    (found,) = find_videos(tmp_path)
    assert not found.problem


def test_loops_of_links_end(tmp_path):
    root = tmp_path / "root"
    touch(root / "a" / "one.mp4")
    touch(tmp_path / "beside" / "two.mp4")
    (root / "a" / "self").symlink_to(root / "a")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "above").symlink_to(tmp_path)  # holds the root itself
    (root / "l1").symlink_to(root / "l2")
    (root / "l2").symlink_to(root / "l1")
    (root / "l3.mp4").symlink_to(root / "l3.mp4")
    found = {item.key: item.problem for item in find_videos(root)}
    assert found == {"a/one.mp4": "", "l3.mp4": "the link leads to no file"}


def test_links_are_followed_once(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    touch(root / "z.mp4")
    touch(other / "deep" / "far.mp4")
    touch(other / "single.mp4")
    (root / "a-link-to-z.mp4").symlink_to(root / "z.mp4")
    (root / "folder1").symlink_to(other / "deep")
    (root / "folder2").symlink_to(other)
    (root / "file.mp4").symlink_to(other / "single.mp4")
    # z.mp4 under its own name; far.mp4 through the first link to it; single.mp4 through "file.mp4".
    found = sorted(item.key for item in find_videos(root, follow_links=True))
    assert found == ["file.mp4", "folder1/far.mp4", "z.mp4"]


def test_links_that_lead_out_are_named_and_not_followed(tmp_path):
    root, other = tmp_path / "root", tmp_path / "root-beside"
    touch(root / "inside" / "a.mp4")
    touch(other / "secret.mp4")
    touch(other / "notes.txt")
    (root / "folder").symlink_to(other)
    (root / "file.mp4").symlink_to(other / "secret.mp4")
    (root / "notes.txt").symlink_to(other / "notes.txt")
    (root / "again").symlink_to(root / "inside")
    found = {item.key: item.problem for item in find_videos(root)}
    assert found.pop("inside/a.mp4") == ""
    assert set(found) == {"folder/", "file.mp4"}
    assert all("leads out" in problem and "--follow-links" in problem for problem in found.values())


def test_a_root_that_is_a_link(tmp_path):
    touch(tmp_path / "real" / "a.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert keys(tmp_path / "link") == ["a.mp4"]


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "broken.mp4").symlink_to(tmp_path / "nowhere.mp4")
    problems = {found.key: found.problem for found in find_videos(tmp_path)}
    assert problems == {
        "pipe.mp4": "it is not a regular file",
        "broken.mp4": "the link leads to no file",
    }


def test_a_folder_named_like_a_video_is_a_folder(tmp_path):
    touch(tmp_path / "takes.mp4" / "a.mp4")
    assert keys(tmp_path) == ["takes.mp4/a.mp4"]


def test_an_unreadable_folder_is_a_problem(tmp_path, monkeypatch):
    touch(tmp_path / "a.mp4")
    locked = touch(tmp_path / "locked" / "b.mp4").parent
    if os.geteuid() == 0:  # no permission stops root: the refusal is made by hand
        scandir = os.scandir

        def refuse(path):
            if Path(path) == locked:
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(files.os, "scandir", refuse)
    else:
        locked.chmod(0)
    try:
        problems = {found.key: found.problem for found in find_videos(tmp_path)}
    finally:
        locked.chmod(stat.S_IRWXU)
    assert problems == {
        "a.mp4": "",
        "locked/": "the folder cannot be read: Permission denied",
    }


def test_a_file_that_vanished(tmp_path):
    assert "No such file" in look_at(tmp_path / "gone.mp4", root=tmp_path).problem


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"Dear diary, today I saw a video.\n", "it is a text file"),
        ("Ünïcode text".encode() * 400, "it is a text file"),
        (b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n", "it is a playlist"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "it is a playlist"),
        (b'<?xml version="1.0"?>\n<MPD profiles="x">', "it is a playlist"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(30), "without its index (moov)"),
        (bytes(range(256)) * 20, "it is damaged, or not a video"),
    ],
)
def test_what_a_file_is_that_no_demuxer_reads(tmp_path, content, words):
    assert words in describe_unknown(touch(tmp_path / "x.mp4", content))


def test_the_index_of_an_mp4(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, num_frames=3)
    data = path.read_bytes()
    moov = find_moov(path)
    assert moov is not None
    assert moov[4:8] == b"moov"
    assert data.endswith(moov)
    assert not is_encrypted_mp4(path)
    path.write_bytes(data[:-10])
    assert find_moov(path) is None


def test_an_encrypted_mp4(tmp_path):
    def box(name, content=b""):
        return (8 + len(content)).to_bytes(4, "big") + name + content

    path = touch(tmp_path / "a.mp4", box(b"ftyp") + box(b"moov", box(b"encv", box(b"sinf"))))
    assert is_encrypted_mp4(path)
    # The letters among the pictures mean nothing.
    touch(path, box(b"ftyp") + box(b"mdat", b"encvsinf") + box(b"moov", box(b"avc1")))
    assert not is_encrypted_mp4(path)


@pytest.mark.parametrize("size", [0, 7, 2**31])
def test_boxes_that_lie_about_their_size(tmp_path, size):
    path = touch(tmp_path / "a.mp4", size.to_bytes(4, "big") + b"ftyp" + bytes(8))
    assert find_moov(path) is None


VIDEO = ["m2t", "MOD", "TOD", "insv", "360", "h264", "mk3d", "m4s", "m2p", "3gpp", "y4m", "hevc"]


def test_more_suffixes_of_videos(tmp_path):
    for suffix in VIDEO:
        touch(tmp_path / f"a.{suffix}")
    assert keys(tmp_path) == sorted(f"a.{suffix}" for suffix in VIDEO)


STARTS = {
    "mp4": b"\0\0\0\x18ftypisom",
    "mkv": b"\x1aE\xdf\xa3",
    "avi": b"RIFF\0\0\0\0AVI LIST",
    "ts": (b"G" + bytes(187)) * 3,
    "m2ts": bytes(4) + (b"G" + bytes(191)) * 3,
    "ps": b"\0\0\1\xba",
    "h264": b"\0\0\0\1\x67",
    "hevc": b"\0\0\0\1\x40\1",
    "y4m": b"YUV4MPEG2 W2",
    "theora": b"OggS" + bytes(24) + b"\x80theora",
    "avis": b"\0\0\0\x18ftypavis",
}
OTHERS = {
    "heic": b"\0\0\0\x18ftypheic",
    "avif": b"\0\0\0\x18ftypavif",
    "vorbis": b"OggS" + bytes(24) + b"\1vorbis",
    "m4a": b"\0\0\0\x18ftypM4A ",
    "wav": b"RIFF\0\0\0\0WAVE",
    "g": b"G" + bytes(500),
    "short": b"",
    "text": b"Give me a video",
    "nal": b"\0\0\0\1\xff",
}


def test_unknown_suffixes_are_known_by_their_begin(tmp_path):
    for suffix in ("", ".xyz", ".dat"):
        for name, data in (STARTS | OTHERS).items():
            touch(tmp_path / f"{name}{suffix}", data)
    others = Counter()
    found = {one.key for one in find_videos(tmp_path, others=others)}
    assert found == {f"{name}{suffix}" for name in STARTS for suffix in ("", ".xyz", ".dat")}
    assert others == {"no suffix": len(OTHERS), ".xyz": len(OTHERS), ".dat": len(OTHERS)}


def test_what_is_never_a_video_is_counted(tmp_path):
    for name in ("a.mp4.part", "b.LRV", "c.jpg", "d.jpg", ".hidden", "e.mp4"):
        touch(tmp_path / name, STARTS["mp4"])
    (tmp_path / "x").symlink_to("/etc/passwd")
    others = Counter()
    assert [one.key for one in find_videos(tmp_path, others=others)] == ["e.mp4"]
    assert others == {".jpg": 2, ".part": 1, ".lrv": 1, "linked": 1}


def test_times_after_2262(tmp_path):
    path = touch(tmp_path / "a.mp4")
    os.utime(path, (2**33 * 1.3, 2**33 * 1.3))
    (found,) = find_videos(tmp_path)
    if path.stat().st_mtime_ns > 2**63:  # else the disk cannot hold it
        assert found.mtime_ns == 2**63 - 1
    assert state_of(path.stat()) == (1, found.mtime_ns)


@pytest.mark.parametrize(
    ("data", "kind"), [(b"\0\0\0\1\x67\x42", "H.264"), (b"\0\0\1\x40", "HEVC")]
)
def test_raw_streams_are_refused_by_name(tmp_path, data, kind):
    reason = describe_unknown(touch(tmp_path / "a.h264", data))
    assert reason.startswith(f"it is a raw {kind} stream, which has no times; put it into a")
