import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from full_disk import no_space
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.errors import ConfigError
from vidmoco.video import catalog as table
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo


def row(key, *, root="/v", route="decord", **values):
    reason = "" if route == "decord" else "because"
    return VideoInfo(
        root=root, key=key, num_bytes=1, mtime_ns=2, route=route, reason=reason, **values
    )


def test_rows_are_sorted_and_come_back():
    rows = [row("b"), row("a", root="/w"), row("a", num_frames=7, duration_seconds=0.1)]
    catalog = Catalog.from_rows(rows)
    assert len(catalog) == 3
    assert list(catalog.rows()) == [rows[2], rows[0], rows[1]]
    assert catalog[0] == rows[2]
    assert catalog[-1] == rows[1]
    with pytest.raises(IndexError, match="3 videos"):
        catalog[3]


def test_an_empty_catalog():
    catalog = Catalog.from_rows([])
    assert len(catalog) == 0
    assert list(catalog.rows()) == []
    assert Catalog.merge([]).column("key").shape == (0,)


def test_columns():
    catalog = Catalog.from_rows([row("a", duration_seconds=1.5), row("b", variable_rate=True)])
    assert catalog.column("duration_seconds").dtype == np.float64
    assert catalog.column("num_bytes").dtype == np.int64
    assert catalog.column("variable_rate").tolist() == [False, True]
    assert catalog.column("key").tolist() == ["a", "b"]


def test_readable_and_refused():
    catalog = Catalog.from_rows([row("a"), row("b", route="refused"), row("c", route="pyav")])
    assert [info.key for info in catalog.readable().rows()] == ["a", "c"]
    assert [info.key for info in catalog.refused().rows()] == ["b"]
    assert [info.key for info in catalog.take([2, 0]).rows()] == ["c", "a"]


def test_many_rows_are_read_in_parts(monkeypatch):
    monkeypatch.setattr(table, "_ROWS_AT_ONCE", 3)
    rows = [row(f"{number:02}") for number in range(8)]
    assert list(Catalog.from_rows(rows).rows()) == rows


def test_merge_keeps_the_first_row_of_a_file():
    first = Catalog.from_rows([row("x/a", num_frames=1), row("b")])
    second = Catalog.from_rows([row("a", root="/v/x", num_frames=2), row("c")])
    merged = Catalog.merge([first, second])
    assert [(info.root, info.key, info.num_frames) for info in merged.rows()] == [
        ("/v", "b", 0),
        ("/v", "c", 0),
        ("/v", "x/a", 1),
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(
    lambda key: not key.startswith("/") and ".." not in key.split("/")
)


@given(
    keys=st.sets(texts, max_size=6),
    number=st.integers(0, 2**63 - 1),
    seconds=st.floats(allow_nan=False),
)
def test_a_file_holds_every_value(tmp_path_factory, keys, number, seconds):
    rows = [
        row(key, num_frames=number, start_seconds=seconds, edit_list=bool(number % 2))
        for key in keys
    ]
    path = tmp_path_factory.mktemp("c") / "a.parquet"
    catalog = Catalog.from_rows(rows)
    catalog.save(path)
    assert list(Catalog.load(path).rows()) == list(catalog.rows())
    assert sorted(info.key for info in catalog.rows()) == sorted(keys)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "a.parquet"
    Catalog.from_rows([row("a")]).save(path)
    assert [found.name for found in path.parent.iterdir()] == ["a.parquet"]
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(ConfigError, match="No space left"):
        Catalog.from_rows([row("b")]).save(path)
    assert Catalog.load(path)[0].key == "a"


def test_a_folder_named_like_a_partition(tmp_path):
    path = tmp_path / "run=1" / "a.parquet"
    Catalog.from_rows([row("a")]).save(path)
    assert len(Catalog.load(path)) == 1


def test_files_that_are_no_catalog(tmp_path):
    with pytest.raises(ConfigError, match="No such catalog"):
        Catalog.load(tmp_path / "gone.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(ConfigError, match=r"text\.parquet cannot be read as a catalog"):
        Catalog.load(tmp_path / "text.parquet")
    pq.write_table(pa.table({"label": [1]}), tmp_path / "other.parquet")
    with pytest.raises(ConfigError, match="not a catalog of videos"):
        Catalog.load(tmp_path / "other.parquet")


@pytest.mark.parametrize("version", ["0", "2", "\N{SNOWMAN}"])
def test_a_catalog_of_another_version(tmp_path, version):
    old = pa.table({"key": ["a"]}).replace_schema_metadata({"vidmoco.catalog": version})
    pq.write_table(old, tmp_path / "old.parquet")
    with pytest.raises(ConfigError, match="another version"):
        Catalog.load(tmp_path / "old.parquet")


def test_a_catalog_with_other_columns(tmp_path):
    metadata = {"vidmoco.catalog": table.FORMAT_VERSION}
    pq.write_table(
        pa.table({"key": ["a"]}).replace_schema_metadata(metadata), tmp_path / "old.parquet"
    )
    with pytest.raises(ConfigError, match="another version"):
        Catalog.load(tmp_path / "old.parquet")


@pytest.mark.parametrize("key", ["/etc/a.mp4", "../a.mp4", "b/../../a.mp4", ".."])
def test_a_catalog_that_leads_out_of_its_folders_is_not_used(tmp_path, key):
    rows = [VideoInfo(root="/r", key=k, num_bytes=1, mtime_ns=1) for k in ("b..mp4", key)]
    Catalog.from_rows(rows).save(tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match="outside of its folders"):
        Catalog.load(tmp_path / "a.parquet")
    Catalog.from_rows(rows[:1]).save(tmp_path / "a.parquet")
    assert len(Catalog.load(tmp_path / "a.parquet")) == 1
