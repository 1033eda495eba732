"""A run goes on with the videos it began with, wherever they are, and with no others."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from painted_videos import write_video
from tiny_run import TINY, numbers

from vidmoco.cli.main import main
from vidmoco.config.recipe import load_recipe
from vidmoco.errors import CheckpointError, ConfigError, VideoError
from vidmoco.video.catalog import SCHEMA, Catalog
from vidmoco.video.files import require_as_scanned
from vidmoco.video.moved import videos_elsewhere, videos_in_place
from vidmoco.video.scan import scan_videos


def write(folder, name, first, frames=6):
    write_video(folder / name, num_frames=frames, first_index=first, size=(64, 48))


@pytest.fixture
def videos(tmp_path):
    for number in range(8):
        write(tmp_path / "here", f"{number}.mp4", 50 * number)
    return tmp_path / "here"


def disguised(path, data):
    """Give a file other content, and leave its size and time."""
    status = path.stat()
    assert len(data) == status.st_size
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    return bytes(data)


def elsewhere(catalog, *sources):
    return videos_elsewhere(catalog, sources, before=[Path("/old")], follow_links=False)


def test_copied_renamed_and_mixed_with_others(videos, tmp_path):
    catalog = scan_videos([videos], progress=False)
    there = tmp_path / "there" / "deep"
    shutil.copytree(videos, there)
    (there / "3.mp4").rename(there.parent / "renamed.mp4")
    write(there, "more.mp4", 900)
    (there / "7.mp4").write_bytes(b"other")
    write(there / "b", "7.mp4", 350)  # a name of before, in another folder
    found = elsewhere(catalog, tmp_path / "there")
    assert found.column("content").tolist() == catalog.column("content").tolist()
    assert [row.key for row in found.rows()][3:] == [
        "renamed.mp4", *(f"deep/{n}.mp4" for n in (4, 5, 6)), "deep/b/7.mp4",
    ]  # fmt: skip
    for row in found.rows():
        require_as_scanned(row)
    assert videos_in_place(found, run=tmp_path) is found


def test_folders_that_lack_a_video(videos, tmp_path):
    catalog = scan_videos([videos], progress=False)
    shutil.copytree(videos, tmp_path / "there")
    disguised(tmp_path / "there" / "5.mp4", flipped(videos / "5.mp4"))
    with pytest.raises(ConfigError, match=r"1 of the 8 videos .* are not there, such as '5\.mp4'"):
        elsewhere(catalog, tmp_path / "there")
    assert elsewhere(catalog, tmp_path / "there", videos / "5.mp4")[5].root == str(videos)
    catalog.save(tmp_path / "c.parquet")
    assert elsewhere(catalog, tmp_path / "c.parquet")[5].root == str(videos)


def test_in_their_place(videos, tmp_path):
    catalog = scan_videos([videos], progress=False)
    assert videos_in_place(catalog, run=tmp_path) is catalog
    os.utime(videos / "0.mp4", ns=(5, 5))  # as a copy that came back
    write(videos, "1.mp4", 700)
    disguised(videos / "2.mp4", flipped(videos / "2.mp4"))
    (videos / "3.mp4").unlink()
    rows = list(videos_in_place(catalog, run=tmp_path).rows())
    require_as_scanned(rows[0])
    for row, advice in zip(
        rows[1:4], ["since it was scanned", "since it was scanned", "No such file"], strict=True
    ):
        with pytest.raises(VideoError, match=advice):
            require_as_scanned(row)
    shutil.rmtree(videos)
    with pytest.raises(CheckpointError, match=r"None of the 8 videos .* vidmoco pretrain FOLDER"):
        videos_in_place(catalog, run=tmp_path)


def test_a_scan_sees_a_file_that_took_the_place_of_another(videos):
    first = scan_videos([videos], progress=False)
    disguised(videos / "4.mp4", flipped(videos / "4.mp4"))
    again = scan_videos([videos], previous=first, progress=False)
    assert again[4].content != first[4].content
    assert [again[n] for n in (0, 7)] == [first[n] for n in (0, 7)]


def test_the_catalog_of_a_run_of_before_goes_on(videos, tmp_path):
    catalog = scan_videos([videos], progress=False)
    table = pa.Table.from_pylist([vars(row) for row in catalog.rows()], schema=SCHEMA)
    table = table.drop_columns(["content", "ctime_ns"])
    table = table.replace_schema_metadata({"vidmoco.catalog": "2"})
    pq.write_table(table, tmp_path / "old.parquet")
    with pytest.raises(ConfigError, match="of another version"):
        Catalog.load(tmp_path / "old.parquet")
    old = Catalog.load(tmp_path / "old.parquet", older=True)
    assert list(old.rows()) == [replace(row, content="", ctime_ns=0) for row in catalog.rows()]
    for row in videos_in_place(old, run=tmp_path).rows():
        require_as_scanned(row)
    shutil.copytree(videos, tmp_path / "there")  # with the times
    assert elsewhere(old, tmp_path / "there")[0].root == str(tmp_path / "there")


def test_a_run_whose_videos_have_moved(videos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["pretrain", *TINY, "--steps"]
    assert main([*command, "2", "here", "--run", "run"]) == 0
    Path("here").rename("there")
    resume = ["pretrain", "--run", "run", "--resume", "--steps"]
    capsys.readouterr()
    assert main([*resume, "4"]) == 2
    assert "vidmoco pretrain FOLDER --run run --resume" in capsys.readouterr().err
    assert main([*resume, "3", "there"]) == 0
    assert load_recipe("run/config.yaml").videos == (tmp_path / "there",)
    assert main([*resume, "4"]) == 0  # it knows the place by now
    assert [line["step"] for line in numbers(Path("run"))] == [1, 2, 3, 4]
