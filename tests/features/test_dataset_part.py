from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_folders import entry_of, settings_of, values_of

from vidmoco.errors import DataError
from vidmoco.features import dataset_part
from vidmoco.features.dataset_part import PartFile, read_part, schema_of, table_of
from vidmoco.features.feature_file import Piece


def piece_of(values):
    numbers = np.arange(len(values), dtype=np.int64)
    return Piece(values, numbers / 10, numbers)


def test_columns_of_frames():
    schema = schema_of(settings_of(labels=["kind", "by"]))
    assert schema.names == ["video", "video_id", "frame", "pts_seconds", "feature", "kind", "by"]
    table = table_of(
        schema,
        replace(entry_of("a"), labels={"kind": "cat", "by": None}),
        piece_of(values_of(3)),
        ends=[],
    )
    assert table["kind"].to_pylist() == ["cat"] * 3 and table["by"].null_count == 3
    assert table["frame"].to_pylist() == [0, 1, 2]
    assert table["pts_seconds"].to_pylist() == [0.0, 0.1, 0.2]


def test_columns_of_pooled_rows_and_of_patches():
    schema = schema_of(settings_of(pool="mean"))
    assert schema.names == ["video", "video_id", "pts_seconds", "end_seconds", "feature"]
    table = table_of(schema, entry_of("a"), piece_of(values_of(2)), ends=[1.0, 2.0])
    assert table["end_seconds"].to_pylist() == [1.0, 2.0]
    schema = schema_of(settings_of(row_shape=[3, 4], dtype="float16"))
    patches = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    table = table_of(schema, entry_of("a"), piece_of(patches), ends=[])
    np.testing.assert_array_equal(np.array(table["feature"].to_pylist()), patches)


def test_the_footer_says_what_a_part_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_part, "_GROUP_BYTES", 400)
    schema = schema_of(settings_of())
    file = PartFile(tmp_path / "p", schema)
    entries = []
    for name, rows in (("a", 30), ("\u00fc b", 5)):
        file.append(table_of(schema, entry_of(name), piece_of(values_of(rows)), ends=[]))
        entries.append(replace(entry_of(name, made=1.0), rows=rows))
    file.close(entries, worker="0000000a", replaces=["x"])
    with (tmp_path / "p").open("rb") as opened:
        part = read_part("p", opened, 9, schema)
    assert part.labels == []
    assert part.entries == tuple(entries) and part.starts == [0, 30, 35]
    assert (part.worker, part.replaces, part.num_bytes) == ("0000000a", {"x"}, 9)
    assert pq.ParquetFile(tmp_path / "p").num_row_groups > 1


@pytest.mark.parametrize("kind", ["no parquet", "another's", "cut"])
def test_a_file_that_is_no_part(kind, tmp_path):
    path = tmp_path / "p"
    pq.write_table(pa.table({"x": [1]}), path)
    if kind == "no parquet":
        path.write_bytes(b"x" * 100)
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    said = "p has the name of a part" if kind == "another's" else "p cannot be read as a part"
    with path.open("rb") as opened, pytest.raises(DataError, match=said):
        read_part("p", opened, 9, schema_of(settings_of()))


@pytest.mark.parametrize("other", [{"row_shape": [5]}, {"dtype": "float16"}, {"pool": "mean"}])
def test_a_part_of_another_dataset(tmp_path, other):
    PartFile(tmp_path / "p", schema_of(settings_of(labels=["kind"]))).close(
        [], worker="0000000a", replaces=[]
    )
    with (tmp_path / "p").open("rb") as opened:
        assert read_part("p", opened, 9, schema_of(settings_of())).labels == ["kind"]
        with pytest.raises(DataError, match=r"p is a part of another dataset: .* Move it"):
            read_part("p", opened, 9, schema_of(settings_of(**other)))


def test_a_part_that_is_given_up_is_gone(tmp_path):
    file = PartFile(tmp_path / "p", schema_of(settings_of()))
    file.discard()
    assert not (tmp_path / "p").exists()
