"""The readers of a dataset in docs/features.md, as a reader would type them in."""

import re
from pathlib import Path

import numpy as np
import pytest
from dataset_folders import begin, values_of, write

from vidmoco.features.manifest import write_manifest

DOCS = Path(__file__).parents[2] / "docs" / "features.md"


def examples(heading):
    text = re.split(r"\n##+ ", DOCS.read_text().partition(f"### {heading}\n")[2])[0]
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore")  # of seven libraries
def test_each_reader_takes_a_dataset_as_it_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    dataset = begin("feats")
    write(dataset, ("a.mp4", values_of(5)), ("b.mp4", values_of(3, first=1)))
    write(dataset, ("c.mp4", values_of(4)))
    dataset.folder.write("__vidmoco__/manifest.parquet", b"not looked at")
    names: dict[str, object] = {}
    for code in examples("Reading it"):
        exec(compile(code, str(DOCS), "exec"), names)
        counts = names.get("counts")
        if counts is not None:
            assert sorted(map(tuple, _rows(counts))) == [("a.mp4", 5), ("b.mp4", 3), ("c.mp4", 4)]
            names["counts"] = None
    assert len(names["frames"]) == len(names["table"]) == len(names["rows"]) == 12
    assert names["features"].shape == (12, 4)
    assert names["frames"]["feature"].iloc[1].tolist() == [1, 1, 1, 1]
    assert names["index"].ntotal == 12
    assert len(names["nearest"]) == 3 and names["nearest"][0]["video"] in (
        "a.mp4",
        "b.mp4",
        "c.mp4",
    )
    assert names["rows"][1]["frame"] == 1 and names["rows"].column_names == [
        "video", "video_id", "frame", "pts_seconds", "feature"]  # fmt: skip
    assert names["features_by_video"].num_rows == 12


@pytest.mark.filterwarnings("ignore")
def test_what_each_reader_makes_of_the_bare_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets
    import duckdb
    import pandas
    import polars

    dataset = begin("feats")
    write(dataset, ("a.mp4", values_of(5)), ("b.mp4", values_of(3)))
    write(dataset, ("c.mp4", values_of(4)))
    write_manifest(dataset, [], [])
    for place in ("feats", "feats/"):
        assert len(pandas.read_parquet(place)) == 12
        assert len(datasets.load_dataset("parquet", data_dir=place, split="train")) == 12
        for read in (polars.read_parquet, polars.scan_parquet):
            with pytest.raises(polars.exceptions.PolarsError):
                read(place).lazy().collect()
        with pytest.raises(duckdb.Error, match="manifest"):
            duckdb.sql(f"SELECT * FROM read_parquet('{place}')").df()
        counted = duckdb.sql(f"SELECT count(*) FROM read_parquet('{place}')").fetchall()
        assert counted == [(12 + 3,)]
    assert len(datasets.load_dataset("feats", split="train")) == 12
    assert len(polars.read_parquet("feats/*.parquet")) == 12
    assert len(polars.scan_parquet("feats/*.parquet").collect()) == 12
    assert len(duckdb.sql("SELECT * FROM read_parquet('feats/*.parquet')").df()) == 12


def _rows(counts):
    return counts.rows() if hasattr(counts, "rows") else counts.itertuples(index=False)


@pytest.mark.filterwarnings("ignore")
def test_patch_tokens_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = np.arange(9 * 3 * 4, dtype=np.float32).reshape(9, 3, 4)
    dataset = begin("feats", feature="patches", row_shape=[3, 4])
    write(dataset, ("a.mp4", values[:5]), ("b.mp4", values[5:7]))
    write(dataset, ("c.mp4", values[7:]))
    names: dict[str, object] = {}
    codes = examples("Reading patch tokens")
    assert len(codes) == 3
    for code in codes:
        exec(compile(code, str(DOCS), "exec"), names)
        np.testing.assert_array_equal(names.pop("tokens"), values)
