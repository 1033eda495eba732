import csv
import os
import signal

import pytest
from painted_videos import write_video

from vidmoco.errors import ConfigError, VidmocoError
from vidmoco.video import probe, scan
from vidmoco.video.probe import probe_video, serve
from vidmoco.video.scan import scan_videos
from vidmoco.video.table import Catalog


def scanned(*sources, **options):
    return scan_videos(list(sources), workers=2, progress=False, **options)


def die_of_evil_files(connection):
    """A worker that the file ``evil.mp4`` kills, as a crash in native code does."""
    honest = probe.probe_video

    def probe_or_die(path, *, root):
        if path.name == "evil.mp4":
            os.kill(os.getpid(), signal.SIGKILL)
        return honest(path, root=root)

    probe.probe_video = probe_or_die
    serve(connection)


def die_at_once(connection):
    """A worker that does not start."""
    os._exit(3)


def test_a_folder(video_folder):
    catalog = scanned(video_folder)
    assert [info.key for info in catalog.rows()] == [
        "deeper/video3.mkv",
        "deeper/video4.webm",
        "deeper/video5.ts",
        "video1.mp4",
        "video2.mp4",
        "video6.MP4",
    ]
    assert catalog.column("num_frames").tolist() == [24, 30, 36, 30, 45, 40]
    assert catalog.column("route").tolist() == ["decord"] * 2 + ["pyav"] + ["decord"] * 2 + ["pyav"]
    for info in catalog.rows():
        assert info.root == str(video_folder)
        assert info == probe_video(info.path, root=video_folder)


def test_only_what_changed_is_looked_at_again(tmp_path, monkeypatch):
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        write_video(tmp_path / name, num_frames=3)
    (tmp_path / "empty.mp4").touch()
    first = scanned(tmp_path)
    looked_at = []

    def in_this_process(jobs, *, workers):
        for root, found in jobs:
            looked_at.append(found.key)
            yield probe_video(root / found.key, root=root)

    monkeypatch.setattr(scan, "_probe_all", in_this_process)
    assert list(scanned(tmp_path, previous=first).rows()) == list(first.rows())
    assert looked_at == []

    write_video(tmp_path / "b.mp4", num_frames=5)
    os.utime(tmp_path / "c.mp4", ns=(1, 1))  # the same size, another time
    write_video(tmp_path / "new.mp4", num_frames=2)
    (tmp_path / "a.mp4").unlink()
    second = scanned(tmp_path, previous=first)
    assert sorted(looked_at) == ["b.mp4", "c.mp4", "new.mp4"]
    assert [(info.key, info.num_frames) for info in second.rows()] == [
        ("b.mp4", 5),
        ("c.mp4", 3),
        ("empty.mp4", 0),
        ("new.mp4", 2),
    ]


def test_a_crash_costs_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "serve", die_of_evil_files)
    monkeypatch.setattr(scan, "_FILES_PER_PROCESS", 100)  # one process: it must be replaced
    for name in ("a.mp4", "evil.mp4", "z.mp4"):
        write_video(tmp_path / name, num_frames=3)
    catalog = scanned(tmp_path)
    assert catalog.column("route").tolist() == ["pyav", "refused", "pyav"]
    evil = catalog[1]
    assert evil.reason == "its decoder crashed (SIGKILL)"
    assert evil.mtime_ns == (tmp_path / "evil.mp4").stat().st_mtime_ns


def test_workers_that_do_not_start_are_no_fault_of_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "serve", die_at_once)
    write_video(tmp_path / "a.mp4", num_frames=3)
    with pytest.raises(VidmocoError, match="__main__"):
        scanned(tmp_path)


def test_single_files_and_several_sources(tmp_path):
    write_video(tmp_path / "x" / "clip.dat", num_frames=3, container="mp4")  # any name, when named
    write_video(tmp_path / "y" / "clip.mp4", num_frames=4)
    write_video(tmp_path / "y" / "clip.avi", codec="mpeg4", num_frames=5)  # the same stem
    catalog = scanned(tmp_path / "x" / "clip.dat", tmp_path / "y", tmp_path / "y" / "clip.mp4")
    assert [(info.root, info.key, info.num_frames) for info in catalog.rows()] == [
        (str(tmp_path / "x"), "clip.dat", 3),
        (str(tmp_path / "y"), "clip.avi", 5),
        (str(tmp_path / "y"), "clip.mp4", 4),
    ]


def test_a_single_refused_file_is_a_row(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    (info,) = scanned(tmp_path / "a.mp4").rows()
    assert (info.route, info.reason) == ("refused", "it is a text file")


def test_relative_sources(tmp_path, monkeypatch):
    write_video(tmp_path / "v" / "a.mp4", num_frames=2)
    monkeypatch.chdir(tmp_path / "v")
    (info,) = scanned(scan.Path(".")).rows()
    assert (info.root, info.key) == (str(tmp_path / "v"), "a.mp4")


def test_problems_of_the_walk_are_rows(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=2)
    (tmp_path / "b.mp4").symlink_to(tmp_path / "nothing")
    (tmp_path / os.fsdecode(b"caf\xe9.mp4")).touch()
    catalog = scanned(tmp_path)
    assert [(info.key, info.reason) for info in catalog.refused().rows()] == [
        ("b.mp4", "the link leads to no file"),
        ("caf\\xe9.mp4", "its name is not valid UTF-8; rename it"),
    ]


def test_awkward_names_reach_the_workers(tmp_path):
    names = ["-leading.mp4", "a:b.mp4", "[red]x[/].mp4", "ü ñ.mp4"]
    for name in names:
        write_video(tmp_path / name, num_frames=2)
    assert scanned(tmp_path).column("num_frames").tolist() == [2] * 4


def test_a_folder_without_videos(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"No video file in .*\.mp4"):
        scanned(tmp_path)
    with pytest.raises(ConfigError, match=r"No such file or folder: .*gone"):
        scanned(tmp_path / "gone")


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)  # root may list everything
    with pytest.raises(ConfigError, match="Permission denied"):
        scanned(tmp_path)


@pytest.mark.slow
def test_real_videos(real_data):
    """957 real clips: none refused, and as many frames as a decode gives (the manifest's count)."""
    catalog = scanned(real_data / "videos")
    with (real_data / "videos" / "manifest.csv").open() as file:
        counted = {entry["path"]: int(entry["n_frames"]) for entry in csv.DictReader(file)}
    assert {info.key: info.num_frames for info in catalog.rows()} == counted
    assert len(catalog.refused()) == 0
    assert (catalog.column("duration_seconds") > 0).all()
    again = scan_videos([real_data / "videos"], previous=catalog, progress=False)
    assert list(again.rows()) == list(catalog.rows())


def test_awkward_real_videos(real_data):
    catalog = scanned(real_data / "edge")
    reasons = {info.key: info.reason for info in catalog.refused().rows()}
    assert set(reasons) == {
        "empty.webm",
        "h264_frag_encrypted_120x52.mp4",
        "header_only.mp4",
        "not_a_video.mp4",
        "tiny_1x1.gif",
        "tiny_with_audio.mp4",
        "truncated_90pct.mp4",
        "zero_bytes.mp4",
    }
    assert all(reasons.values())
    assert "encrypted" in reasons["h264_frag_encrypted_120x52.mp4"]
    for info in Catalog.readable(catalog).rows():
        assert info.num_frames >= 1
        assert info.duration_seconds > 0
        assert (info.reason == "") == (info.route == "decord")
