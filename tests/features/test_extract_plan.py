"""Names, lists and times are in test_extract_command.py, labels in test_extract_outputs.py."""

from pathlib import Path

import pytest

from vidmoco.config.extract import ExtractCommand
from vidmoco.errors import ConfigError
from vidmoco.features import extract_plan
from vidmoco.features.dataset_part import schema_of
from vidmoco.features.extract_plan import holds_many, output_of


@pytest.mark.parametrize(
    ("videos", "output", "options", "expected"),
    [
        (["v"], "feats", {}, True),
        (["a.mp4", "b.mp4"], "feats", {}, True),
        (["a.mp4"], "feats.npy", {}, False),
        (["a.mp4"], "feats.parquet", {}, False),
        (["a.mp4"], "feats", {"format": "parquet"}, True),
        (["v"], "s3://bucket/feats", {}, True),
        (["v"], "feats/resnet50.a1_in1k", {}, True),
        (["v"], "s3://bucket/feats-2024.06", {}, True),
        (["v"], "there.npy", {}, True),
        (["v"], "f.h5", {}, "v is a folder of videos.* -o f.h5 reads as one file"),
        (
            ["v"],
            "feats.npy",
            {},
            r"v is a folder of videos.* -o feats.npy reads as one.* --format npy",
        ),
        (["a.mp4", "b.mp4"], "f.npy", {}, "2 paths are given, whose features go to a folder"),
        (["@l.txt"], "f.npy", {}, "@l.txt is a list of videos, whose"),
        (["*.mp4"], "f.npy", {}, r"\*\.mp4 is a list of videos, whose"),
        (["c.parquet"], "f.npy", {}, "c.parquet is a catalog of videos, whose"),
        (["a.mp4"], "f.parquet", {"format": "parquet"}, "--format parquet writes a folder"),
        (
            ["a.mp4"],
            "feats",
            {},
            r"Cannot write features to feats.* \.npy, \.parquet\. Or add --fo",
        ),
        (
            ["a.mp4"],
            "v",
            {},
            r"-o v is a folder, and a\.mp4 one video\. Give a file: v/a\.mp4\.npy\. ",
        ),
        (["a.mp4"], "feats", {"format": "npy"}, True),
        (["a.mp4"], "v", {"suffix": ".parquet"}, True),
        (["a.mp4"], "f.npy", {"format": "npy"}, False),
        (["a.mp4"], "f.h5", {"format": "npy"}, r"Cannot write features to f\.h5"),
        (["a.mp4"], "dataset", {}, True),
        (["a.mp4"], "dataset", {"labels": Path("labels.csv")}, True),
        (["a.mp4"], "dataset/a.npy", {}, "a.npy would be in .*/dataset, which has a dataset, and"),
        (["v"], "dataset/more", {}, "-o .*/dataset to add to the dataset"),
        (["v"], "dataset/more/files", {"format": "npy"}, "files would be in .*/dataset, which"),
        (["a.mp4"], "mine.npy", {}, r"mine\.npy is there without the sidecar mine\.json, so"),
        (["a.mp4"], "mine.npy", {"overwrite": True}, False),
        (["a.mp4"], "times.npy", {}, r"times\.timestamps\.npy is there without the sidecar"),
        (["a.mp4"], "times.parquet", {}, False),
        (["a.mp4"], "killed.npy", {}, False),
        (["v"], "s3://bucket/feats", {"format": "npy"}, "-o s3://bucket/feats is a URL"),
    ],
)
def test_what_the_output_is(tmp_path, monkeypatch, videos, output, options, expected):
    monkeypatch.chdir(tmp_path)
    Path("v").mkdir()
    Path("there.npy").mkdir()
    Path("dataset/__vidmoco__").mkdir(parents=True)
    Path("dataset/__vidmoco__/dataset.json").touch()
    for name in ("mine.npy", "times.timestamps.npy", "killed.npy", "killed.json.1234.part"):
        Path(name).touch()
    command = ExtractCommand(videos=tuple(map(Path, videos)), output=Path(output), **options)
    if isinstance(expected, bool):
        assert holds_many(command) == expected
    else:
        with pytest.raises(ConfigError, match=expected):
            holds_many(command)


def test_a_name_without_room_is_cut(tmp_path):
    assert output_of(tmp_path, "deep/a.mp4", ".npy") == tmp_path / "deep" / "a.mp4.npy"
    path = output_of(tmp_path, "x" * 251 + ".mp4", ".npy")
    assert len(path.name) < 230 and path.name.endswith(".mp4.npy") and "~" in path.name


def test_no_label_may_be_called_like_a_column():
    settings = {"dtype": "float32", "row_shape": [4], "labels": []}
    columns = {*schema_of(settings).names, *schema_of(settings | {"pool": "mean"}).names}
    assert columns == extract_plan._COLUMNS
