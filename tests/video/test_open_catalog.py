from pathlib import Path

import pytest
from painted_videos import write_video

from vidmoco.errors import ConfigError
from vidmoco.urls import expand_lists
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import catalog_cache_path, open_catalog


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDMOCO_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    path = catalog_cache_path(tmp_path / "my videos!")
    assert path.parent == Path("/own/catalogs")
    assert path.name.startswith("my_videos_-")
    assert path.suffix == ".parquet"
    monkeypatch.delenv("VIDMOCO_CACHE")
    assert catalog_cache_path(tmp_path).parent == Path("/xdg/vidmoco/catalogs")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert catalog_cache_path(tmp_path).parent == Path("/home/me/.cache/vidmoco/catalogs")


def test_each_folder_has_its_own_cache(tmp_path, monkeypatch):
    assert catalog_cache_path(tmp_path / "a" / "v") != catalog_cache_path(tmp_path / "b" / "v")
    monkeypatch.chdir(tmp_path)
    assert catalog_cache_path(Path("a/../b")) == catalog_cache_path(tmp_path / "b")


def test_the_cache_is_used_and_renewed(tmp_path, scans):
    write_video(tmp_path / "a.mp4", num_frames=2)
    first = open_catalog([tmp_path])
    assert Catalog.load(catalog_cache_path(tmp_path))[0] == first[0]
    write_video(tmp_path / "b.mp4", num_frames=2)
    assert len(open_catalog([tmp_path])) == 2
    assert len(open_catalog([tmp_path], fresh=True)) == 2
    assert scans == [([tmp_path], None), ([tmp_path], 1), ([tmp_path], None)]


def test_a_broken_cache_is_replaced(tmp_path, scans):
    write_video(tmp_path / "a.mp4", num_frames=2)
    path = catalog_cache_path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text("garbage")
    assert len(open_catalog([tmp_path])) == 1
    assert len(Catalog.load(path)) == 1


def test_a_cache_that_cannot_be_written(tmp_path, scans, monkeypatch, capsys):
    write_video(tmp_path / "a.mp4", num_frames=2)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("VIDMOCO_CACHE", str(blocked))
    assert len(open_catalog([tmp_path])) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "inspect every file again" in lines[0]


def test_several_sources(tmp_path, scans):
    write_video(tmp_path / "x" / "a.mp4", num_frames=2)
    write_video(tmp_path / "y" / "a.mp4", num_frames=3)
    elsewhere = VideoInfo(root="/v", key="elsewhere.mp4", num_bytes=1, mtime_ns=2)
    Catalog.from_rows([elsewhere]).save(tmp_path / "other.parquet")
    catalog = open_catalog([tmp_path / "y", tmp_path / "x", tmp_path / "other.parquet"])
    assert [info.path for info in catalog.rows()] == [
        tmp_path / "x" / "a.mp4",
        tmp_path / "y" / "a.mp4",
        Path("/v/elsewhere.mp4"),
    ]
    assert len(scans) == 2


def test_sources_that_cannot_be_used(tmp_path):
    with pytest.raises(ConfigError, match="No videos given"):
        open_catalog([])
    with pytest.raises(ConfigError, match="No such file or folder"):
        open_catalog([tmp_path / "gone"])
    with pytest.raises(ConfigError, match="No such catalog"):
        open_catalog([tmp_path / "gone.parquet"])


def test_a_list_of_sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "x" / "a.mp4", num_frames=2)
    write_video(tmp_path / "b c.mp4", num_frames=3)
    (tmp_path / "list.txt").write_text("\ufeffx\r\n\nb c.mp4\n", encoding="utf-8")
    assert expand_lists([Path("@list.txt"), Path("x")]) == [Path("x"), Path("b c.mp4"), Path("x")]
    assert [info.key for info in open_catalog([Path("@list.txt")]).rows()] == ["b c.mp4", "a.mp4"]
    (tmp_path / "@list.txt").write_text("a file of this name is no list")
    assert expand_lists([Path("@list.txt")]) == [Path("@list.txt")]
    (tmp_path / "urls.txt").write_text("https://host/a//b.mp4\n~/gone.mp4\n")
    with pytest.raises(ConfigError, match=r"urls\.txt, line 2: there is no file or folder '~/gone"):
        expand_lists([Path("@urls.txt")])


def test_many_files_are_scanned_at_once_and_kept(tmp_path, scans, monkeypatch):
    write_video(tmp_path / "0.mp4", num_frames=2)
    files = [tmp_path / f"{n}.mp4" for n in range(20)]
    for file in files[1:]:
        file.hardlink_to(files[0])
    write_video(tmp_path / "folder" / "x.mp4", num_frames=2)
    sources = [tmp_path / "folder", *files]
    assert len(open_catalog(sources)) == 21
    assert [given for given, _ in scans] == [[tmp_path / "folder"], files]
    assert len(open_catalog(sources[::-1])) == 21
    assert [previous for _, previous in scans[2:]] == [1, 20]
    # Of another list below the same folder only what is new is inspected.
    (tmp_path / "new.mp4").hardlink_to(files[0])
    assert len(open_catalog([*files[2:], tmp_path / "new.mp4"])) == 19
    assert len(open_catalog([*files, tmp_path / "new.mp4"])) == 21
    assert [previous for _, previous in scans[4:]] == [20, 21]
