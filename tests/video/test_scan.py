import csv
import os
import signal
import time

import pytest
from painted_videos import write_video

from vidmoco.config.limits import Limits
from vidmoco.errors import ConfigError
from vidmoco.video import scan
from vidmoco.video.catalog import Catalog
from vidmoco.video.probe import build_probe, probe_video
from vidmoco.video.scan import scan_videos


def scanned(*sources, **options):
    return scan_videos(list(sources), workers=2, progress=False, **options)


def build_fragile_probe(limits):
    """A worker that some files kill, as faults in native code do."""
    probe = build_probe(limits)

    def probe_or_die(job):
        if job.found.key == "evil.mp4":
            os.kill(os.getpid(), signal.SIGSEGV)
        if job.found.key == "slow.mp4":
            time.sleep(1000)
        return probe(job)

    return probe_or_die


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

    def in_this_process(jobs, *, workers, limits):
        for job in jobs:
            looked_at.append(job.found.key)
            yield probe_video(job.root / job.found.key, root=job.root, limits=limits)

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


def test_a_crash_and_a_hang_cost_one_file_each(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "build_probe", build_fragile_probe)
    for name in ("a.mp4", "evil.mp4", "slow.mp4", "z.mp4"):
        write_video(tmp_path / name, num_frames=3)
    catalog = scanned(tmp_path, limits=Limits(max_seconds=5))
    assert catalog.column("route").tolist() == ["pyav", "refused", "refused", "pyav"]
    assert catalog[1].reason == "its decoder crashed (SIGSEGV)"
    assert "no sign of life for 5 s (--max-seconds)" in catalog[2].reason
    assert catalog[2].limit == "max_seconds=5"
    assert catalog[1].mtime_ns == 0  # looked at again: perhaps it was no fault of the file
    assert catalog[2].mtime_ns == catalog[2].path.stat().st_mtime_ns


def test_other_limits_look_again_at_what_they_decide(tmp_path, monkeypatch):
    write_video(tmp_path / "small.mp4", num_frames=3)
    write_video(tmp_path / "large.mp4", num_frames=3, size=(256, 192))
    (tmp_path / "empty.mp4").touch()
    tight = Limits(max_pixels=10_000)
    first = scanned(tmp_path, limits=tight)
    assert [info.key for info in first.refused().rows()] == ["empty.mp4", "large.mp4"]
    looked_at = []
    probe_all = scan._probe_all

    def watched(jobs, **options):
        looked_at.append([job.found.key for job in jobs])
        return probe_all(jobs, **options)

    monkeypatch.setattr(scan, "_probe_all", watched)
    assert list(scanned(tmp_path, previous=first, limits=tight).rows()) == list(first.rows())
    second = scanned(tmp_path, previous=first)
    assert len(second.refused()) == 1
    third = scanned(tmp_path, previous=second, limits=tight)
    assert list(third.rows()) == list(first.rows())
    assert looked_at == [[], ["large.mp4"], ["large.mp4"]]


def test_a_url_is_not_a_path(tmp_path):
    with pytest.raises(ConfigError, match="Download it first"):
        scanned(scan.Path("https://example.org/a.mp4"))


def test_links_out_of_the_folder(tmp_path):
    write_video(tmp_path / "other" / "a.mp4", num_frames=2)
    write_video(tmp_path / "mine" / "b.mp4", num_frames=2)
    (tmp_path / "mine" / "a.mp4").symlink_to(tmp_path / "other" / "a.mp4")
    catalog = scanned(tmp_path / "mine")
    assert catalog.column("route").tolist() == ["refused", "pyav"]
    asked_for = scanned(tmp_path / "mine", previous=catalog, limits=Limits(follow_links=True))
    assert asked_for.column("route").tolist() == ["pyav", "pyav"]
    again = scanned(tmp_path / "mine", previous=asked_for)
    assert list(again.rows()) == list(catalog.rows())


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


def test_a_folder_whose_name_is_not_utf8(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "_probe_all", None)  # it is told before videos are probed
    folder = tmp_path / os.fsdecode(b"caf\xe9") / "sub"
    write_video(folder / "a.mp4", num_frames=2)
    for source in (folder, folder / "a.mp4"):
        with pytest.raises(ConfigError, match="not valid UTF-8; rename it"):
            scanned(source)


def test_awkward_names_reach_the_workers(tmp_path):
    names = ["-leading.mp4", "a:b.mp4", "[red]x[/].mp4", "ü ñ.mp4"]
    for name in names:
        write_video(tmp_path / name, num_frames=2)
    assert scanned(tmp_path).column("num_frames").tolist() == [2] * 4


def test_a_folder_without_videos(tmp_path):
    with pytest.raises(ConfigError, match=r"No video file in .* or its folders. It holds nothing"):
        scanned(tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.JPG").touch()
    with pytest.raises(ConfigError, match=r"\.jpg \(1\)\. Pictures go to vidmoco\.embed"):
        scanned(tmp_path / "pictures")
    (tmp_path / "pictures/a.JPG").unlink()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"It holds 1 other file, not read: \.txt \(1\)\.$"):
        scanned(tmp_path)
    with pytest.raises(ConfigError, match=r"No such file or folder: .*gone"):
        scanned(tmp_path / "gone")
    with pytest.raises(ConfigError, match="File name too long"):
        scanned(tmp_path / ("x" * 300))


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
        "bitflips_60.mp4",
        "empty.webm",
        "h264_empty_edit_5s.mp4",
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
