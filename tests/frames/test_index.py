import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest

from vidmoco.errors import ConfigError
from vidmoco.frames.index import (
    FrameIndex,
    VideoRow,
    frame_table,
    read_tables,
    shard_name,
    write_index,
)
from vidmoco.frames.key import read_key


def columns(count):
    return {
        "pts_seconds": np.arange(count) / 4,
        "shard": np.zeros(count, dtype=np.int64),
        "offset": 100 * np.arange(count),
        "length": np.full(count, 90),
        "crc32": np.full(count, 2**32 - 1),
    }


def row(name, **changes):
    given = {"num_bytes": 1, "mtime_ns": 2, "duration_seconds": 3.0, "aspect_ratio": 1.5}
    given |= {"num_frames": 2, "shard": 0, "start": 0, "end": 200}
    return VideoRow(name=name, **(given | changes))


def index_of(*names):
    table = frame_table(list(names), [columns(2) for _ in names], {"room": {"b": "kitchen"}})
    return FrameIndex({"fps": 4}, [row(name) for name in names], table)


def test_a_row_a_frame():
    table = frame_table(["a", "é", "c"], [columns(2), columns(0), columns(1)], {"x": {"c": "1"}})
    assert table["video"].to_pylist() == ["a", "a", "c"]
    assert table["x"].to_pylist() == ["", "", "1"]
    assert table["offset"].to_pylist() == [0, 100, 0]
    assert table["crc32"].to_pylist() == [2**32 - 1] * 3
    assert pa.types.is_dictionary(table["video"].type)
    assert frame_table([], [], {}).num_rows == 0


def test_what_is_written_is_read_and_the_old_one_goes(tmp_path):
    for names in (("a",), ("a", "b"), ("b",)):
        index = index_of(*names)
        write_index(tmp_path, index)
        key = read_key((tmp_path / "frames.json").read_text(), where="x")
        table, rows = read_tables(*tables_of(tmp_path, key), key, where="x")
        assert table.equals(index.frames)
        assert rows == index.videos
        assert len(list(tmp_path.iterdir())) == 3


def test_an_end_before_the_key_leaves_the_old_index(tmp_path, monkeypatch):
    write_index(tmp_path, index_of("a"))
    before = (tmp_path / "frames.json").read_text()

    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dumps", stop)
    with pytest.raises(KeyboardInterrupt):
        write_index(tmp_path, index_of("a", "b"))
    assert (tmp_path / "frames.json").read_text() == before
    key = json.loads(before)
    assert read_tables(*tables_of(tmp_path, key), key, where="x")[1]
    assert (tmp_path / "frames-2.parquet").exists()
    monkeypatch.undo()
    write_index(tmp_path, index_of("a", "b"))  # its tables do not touch those that are left
    assert {path.name for path in tmp_path.iterdir()} == {
        "frames.json", "frames-3.parquet", "videos-3.parquet"
    }  # fmt: skip


def tables_of(folder, key):
    return [(folder / key[name]).read_bytes() for name in ("frames", "videos")]


def test_the_tables_of_another_key(tmp_path):
    write_index(tmp_path, index_of("a"))
    key = json.loads((tmp_path / "frames.json").read_text())
    with pytest.raises(ConfigError, match="The index of x is incomplete"):
        read_tables(*tables_of(tmp_path, key), key | {"num_videos": 2}, where="x")


@pytest.mark.parametrize("table", ["frames", "videos"])
def test_any_flipped_byte_of_a_table_is_found(tmp_path, table):
    write_index(tmp_path, index_of("a", "b"))
    key = json.loads((tmp_path / "frames.json").read_text())
    data = dict(zip(("frames", "videos"), tables_of(tmp_path, key), strict=True))
    whole = data[table]
    for place in range(0, len(whole), 97):
        data[table] = whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
        with pytest.raises(ConfigError, match=rf"x/{table}-1\.parquet is damaged: its SHA-256"):
            read_tables(**data, key=key, where="x")
    data[table] = whole[:-1]
    with pytest.raises(ConfigError, match=rf"{table}-1\.parquet is damaged: it has .* expected"):
        read_tables(**data, key=key, where="x")


def test_damage_that_the_checksums_do_not_tell_is_one_line_all_the_same(tmp_path):
    write_index(tmp_path, index_of("a name that can be found", "b"))
    key = json.loads((tmp_path / "frames.json").read_text())
    frames, videos = tables_of(tmp_path, key)
    assert read_tables(frames, videos, key, where="x")[1][1] == row("b")
    harmed = videos.replace(b"a name that", b"\xff name that")
    assert harmed != videos
    key["sha256"]["videos"] = hashlib.sha256(harmed).hexdigest()
    with pytest.raises(ConfigError, match=r"The index of x cannot be read: .*utf-8"):
        read_tables(frames, harmed, key, where="x")


def test_the_content_is_of_what_pairs_are_made_of():
    def content(*rows, **changes):
        table = frame_table(["a"], [columns(2) | changes], {"room": {"a": "x"}} if rows else {})
        return FrameIndex({}, [*rows] or [row("a")], table).content()

    same = content()
    assert content(row("a", shard=3, start=7, num_bytes=9, mtime_ns=9)) == same
    assert content(row("a"), row("b", num_frames=0)) == same
    assert content(offset=np.array([5, 6]), shard=np.array([4, 4])) == same
    assert content(pts_seconds=np.array([0, 0.5])) != same
    assert content(crc32=np.array([1, 2])) != same
    for change in ({"name": "b"}, {"duration_seconds": 4.0}, {"aspect_ratio": 1.0}):
        assert content(VideoRow(**(vars(row("a")) | change))) != same


def test_an_index_is_the_same_as_itself_read_again(tmp_path):
    index = index_of("a", "b")
    write_index(tmp_path, index)
    key = json.loads((tmp_path / "frames.json").read_text())
    table, rows = read_tables(*tables_of(tmp_path, key), key, where="x")
    assert FrameIndex({}, rows, table).same_as(index)
    assert not index_of("a").same_as(index)
    other = frame_table(["a", "b"], [columns(2), columns(2)], {"room": {"b": "hall"}})
    assert not FrameIndex({}, rows, other).same_as(index)


def test_least_sizes_of_shards():
    rows = [row("a", end=500), row("b", end=300), row("c", shard=2, end=100)]
    rows.append(row("d", shard=3, start=0, end=0, num_frames=0))
    assert FrameIndex({}, rows, pa.table({})).shard_sizes() == {0: 500, 2: 100}
    assert shard_name(12) == "shards/000012.tar"
