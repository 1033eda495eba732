import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from painted_videos import write_video
from rich.console import Console

from vidmoco.config.commands import ScanCommand
from vidmoco.config.limits import Limits
from vidmoco.errors import ConfigError, VideoError
from vidmoco.video import open_catalog as catalog_module
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import catalog_cache_path, open_catalog
from vidmoco.video.scan_command import print_catalog, scan_command


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VIDMOCO_CACHE", str(folder))
    return folder


@pytest.fixture
def scans(monkeypatch):
    """What ``scan_videos`` was called with: (sources, number of rows known before)."""
    calls = []
    real = catalog_module.scan_videos

    def noted(sources, *, previous, workers, progress, **limits):
        calls.append((sources, None if previous is None else len(previous)))
        return real(sources, previous=previous, workers=1, progress=False, **limits)

    monkeypatch.setattr(catalog_module, "scan_videos", noted)
    return calls


def printed(catalog, **options):
    console = Console(file=io.StringIO(), width=200, color_system=None)
    print_catalog(catalog, console=console, **options)
    return console.file.getvalue()


def row(key, **values):
    return VideoInfo(root="/v", key=key, num_bytes=1, mtime_ns=2, **values)


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
    Catalog.from_rows([row("elsewhere.mp4")]).save(tmp_path / "other.parquet")
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


def test_the_table(tmp_path):
    mp4 = {"container": "mov", "codec": "h264", "route": "decord"}
    rows = [row(f"{n}.mp4", num_frames=1000, duration_seconds=1800.0, **mp4) for n in range(3)]
    text = printed(Catalog.from_rows(rows))
    (line,) = [line for line in text.splitlines() if "h264" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "mov",
        "h264",
        "decord",
        "3",
        "3,000",
        "1.50",
    ]
    assert "Refused" not in text


def test_refused_files_are_listed_as_they_are_named():
    names = ["[red]a[/red].mp4", "b\x1b[31m\n.mp4", "c\u202egpj.mp4", "ü.mp4"]
    text = printed(Catalog.from_rows([row(name, reason="the [file] is empty") for name in names]))
    assert "Refused: 4 of 4" in text
    assert "  [red]a[/red].mp4: the [file] is empty\n" in text
    assert "  b\\x1b[31m\\n.mp4: the [file] is empty\n" in text
    assert "  c\\u202egpj.mp4: " in text
    assert "  ü.mp4: " in text


def test_a_long_list_is_cut():
    rows = [row(f"{number:03}.mp4", reason="r") for number in range(1052)]
    text = printed(Catalog.from_rows(rows), catalog_path=Path("/c/all.parquet"))
    assert "049.mp4" in text
    assert "050.mp4" not in text
    assert text.rstrip().endswith("… and 1,002 more, all in /c/all.parquet")


def test_scan_command(tmp_path, scans, capsys):
    write_video(tmp_path / "v" / "a.mp4", num_frames=2)
    (tmp_path / "v" / "b.mp4").touch()
    assert scan_command(ScanCommand(videos=(tmp_path / "v",))) == 0
    text = capsys.readouterr().out
    assert "b.mp4: the file is empty" in text
    assert str(catalog_cache_path(tmp_path / "v")) in text.replace("\n", "")
    output = tmp_path / "out" / "c.parquet"
    assert scan_command(ScanCommand(videos=(tmp_path / "v",), output=output, fresh=True)) == 0
    assert len(Catalog.load(output)) == 2
    assert scan_command(ScanCommand(videos=(tmp_path / "v",), output=output)) == 0  # again
    images = tmp_path / "images.parquet"
    pq.write_table(pa.table({"image": [b"x"]}), images)
    before = images.read_bytes()
    with pytest.raises(ConfigError, match=r"images\.parquet exists, and is not a catalog"):
        scan_command(ScanCommand(videos=(tmp_path / "v",), output=images))
    assert images.read_bytes() == before
    assert scans[1] == ([tmp_path / "v"], None)


def test_scan_command_with_nothing_to_read(tmp_path, scans, capsys):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    with pytest.raises(VideoError, match=r"a\.mp4: the file is empty\.$"):
        scan_command(ScanCommand(videos=(tmp_path / "a.mp4",)))
    with pytest.raises(VideoError, match="None of the 2 videos"):
        scan_command(ScanCommand(videos=(tmp_path,)))
    assert "b.mp4: the file is empty" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"must end with \.parquet"):
        scan_command(ScanCommand(videos=(tmp_path,), output=tmp_path / "c.csv"))


def test_limits_reach_the_scan(tmp_path, capsys):
    write_video(tmp_path / "a.mp4", num_frames=3)
    write_video(tmp_path / "b.mp4", num_frames=9)
    limits = Limits(max_frames=5)
    assert scan_command(ScanCommand(videos=(tmp_path,), limits=limits)) == 0
    assert "b.mp4: it has more than 5 frames (--max-frames)" in capsys.readouterr().out
    assert scan_command(ScanCommand(videos=(tmp_path,))) == 0
    assert "Refused" not in capsys.readouterr().out


def test_hdr_is_told():
    catalog = Catalog.from_rows([row("a.mp4", route="pyav", hdr="pq"), row("b.mp4", route="pyav")])
    assert "HDR: 1 videos." in printed(catalog)
    assert "HDR" not in printed(Catalog.from_rows([row("b.mp4", route="pyav")]))
