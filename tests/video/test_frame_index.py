import json

import numpy as np
import pyarrow as pa
import pytest

from vidmoco.errors import ConfigError
from vidmoco.video.frame_index import (
    FrameIndex,
    VideoRow,
    frame_table,
    read_key,
    read_tables,
    shard_name,
    write_index,
)


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
        table, rows = read_tables(
            tmp_path / key["frames"], tmp_path / key["videos"], key, where="x"
        )
        assert table.equals(index.frames)
        assert rows == index.videos
        assert len(list(tmp_path.iterdir())) == 3


def test_an_end_before_the_key_leaves_the_old_index(tmp_path, monkeypatch):
    write_index(tmp_path, index_of("a"))
    before = (tmp_path / "frames.json").read_text()

    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dump", stop)
    with pytest.raises(KeyboardInterrupt):
        write_index(tmp_path, index_of("a", "b"))
    assert (tmp_path / "frames.json").read_text() == before
    key = json.loads(before)
    assert read_tables(tmp_path / key["frames"], tmp_path / key["videos"], key, where="x")[1]
    monkeypatch.undo()
    write_index(tmp_path, index_of("a", "b"))  # its tables do not touch those that are left
    assert json.loads((tmp_path / "frames.json").read_text())["frames"] == "frames-3.parquet"


def test_the_tables_of_another_key(tmp_path):
    write_index(tmp_path, index_of("a"))
    key = json.loads((tmp_path / "frames.json").read_text())
    tables = tmp_path / key["frames"], tmp_path / key["videos"]
    with pytest.raises(ConfigError, match="The index of x is not whole"):
        read_tables(*tables, key | {"num_videos": 2}, where="x")


def test_least_sizes_of_shards():
    rows = [row("a", end=500), row("b", end=300), row("c", shard=2, end=100)]
    assert FrameIndex({}, rows, pa.table({})).shard_sizes() == {0: 500, 2: 100}
    assert shard_name(12) == "shards/000012.tar"
