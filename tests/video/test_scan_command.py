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
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import catalog_cache_path
from vidmoco.video.requests import Request, read_requests
from vidmoco.video.scan import scan_videos
from vidmoco.video.scan_command import (
    print_catalog,
    print_refusals,
    print_refusals_of_run,
    scan_command,
)


def printed(catalog, **options):
    console = Console(file=io.StringIO(), width=200, color_system=None)
    print_catalog(catalog, console=console, **options)
    return console.file.getvalue()


def row(key, **values):
    return VideoInfo(root="/v", key=key, num_bytes=1, mtime_ns=2, **values)


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
    rows = [row(f"{number:03}.mp4", reason=f"r{number}") for number in range(1052)]
    text = printed(Catalog.from_rows(rows), catalog_path=Path("/c/all.parquet"))
    assert "049.mp4" in text
    assert "050.mp4" not in text
    assert text.rstrip().endswith("All 1,052 are in /c/all.parquet")


def test_videos_of_one_reason_are_counted():
    same = [row(f"a{number:02}.mp4", reason="r") for number in range(7)]
    text = printed(Catalog.from_rows([*same, row("b.mp4", reason="other")]))
    _, lines = text.split("Refused: 8 of 8\n")
    assert lines.splitlines() == [
        *(f"  a{number:02}.mp4: r" for number in range(5)),
        "  … and 2 more: r",
        "  b.mp4: other",
        "All 8 are given by `vidmoco scan -o FILE`",
    ]


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


def test_no_catalog_is_named_that_holds_a_part_alone(tmp_path, scans, capsys):
    write_video(tmp_path / "v" / "a.mp4", num_frames=2)
    (tmp_path / "w").mkdir()
    for number in range(51):
        (tmp_path / "w" / f"{number}.mp4").touch()
    assert scan_command(ScanCommand(videos=(tmp_path / "v", tmp_path / "w"))) == 0
    text = capsys.readouterr().out
    assert "52 videos; -o FILE puts them into one catalog" in text
    assert "All 51 are given by `vidmoco scan -o FILE`" in text and "parquet" not in text


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
    assert "HDR: 1 video. " in printed(catalog)
    assert "HDR" not in printed(Catalog.from_rows([row("b.mp4", route="pyav")]))


def test_refusals_are_counted_by_reason(capsys):
    reasons = ["b"] * 3 + ["a"] + [f"reason {n}" for n in range(6)]
    rows = [
        VideoInfo(root="/v", key=f"{n}.mp4", num_bytes=1, mtime_ns=1, reason=reason)
        for n, reason in enumerate(reasons)
    ]
    rows.append(VideoInfo(root="/v", key="good.mp4", num_bytes=1, mtime_ns=1, route="pyav"))
    print_refusals(Catalog.from_rows(rows), console=Console(width=20))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Refused: 10 of 11 videos: 3 (b), 1 (a), 1 (reason 0), ")
    assert line.endswith(", 3 for other reasons")
    print_refusals(Catalog.from_rows(rows[-1:]), console=Console())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("rank", ["", "0", "1"])
def test_the_refusals_of_a_run_are_said_once(tmp_path, capsys, monkeypatch, rank):
    if rank:
        monkeypatch.setenv("RANK", rank)
    row = VideoInfo(root="/v", key="a.mp4", num_bytes=1, mtime_ns=1, reason="it is a text file")
    print_refusals_of_run(tmp_path)
    Catalog.from_rows([row]).save(tmp_path / "catalog.parquet")
    print_refusals_of_run(tmp_path)
    said = capsys.readouterr().err
    assert said == ("" if rank == "1" else "Refused: 1 of 1 videos: 1 (it is a text file)\n")


def test_the_route_is_what_a_training_reads_by(tmp_path, capsys):
    write_video(tmp_path / "a.mp4", num_frames=3, size=(256, 192))
    (tmp_path / "notes.txt").write_text("no video")
    assert scan_command(ScanCommand(videos=(tmp_path,))) == 0
    shown = capsys.readouterr()
    (line,) = [line for line in shown.out.splitlines() if "h264" in line]
    assert "pyav" in line and "decord" not in line
    assert "1 other file, not read: .txt (1)" in shown.err


def test_y4m_is_read(tmp_path, capsys):
    header = b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n"
    frames = [b"FRAME\n" + bytes([20 * n]) * 3072 + b"\x80" * 1536 for n in range(9)]
    (tmp_path / "a.y4m").write_bytes(header + b"".join(frames))
    assert scan_command(ScanCommand(videos=(tmp_path,), verify=True)) == 0
    assert "0 differ from the scan" in capsys.readouterr().out
    catalog = scan_videos([tmp_path], progress=False)
    assert (catalog[0].num_frames, catalog[0].frame_rate) == (9, 25)
    assert catalog[0].last_seconds == pytest.approx(8 / 25)
    (answer,) = read_requests([Request(catalog[0], (0.29, 0.05, 0.0))])
    assert answer.pts_seconds == pytest.approx([0.28, 0.04, 0.0])
    levels = [float(image.mean()) for image in answer.images]
    assert levels[0] > levels[1] > levels[2]
