from pathlib import Path

import pytest

from vidmoco.config.extract import ExtractCommand
from vidmoco.errors import ConfigError
from vidmoco.features.output_kind import holds_many


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
        (
            ["v"],
            "s3://b/f",
            {"format": "npy"},
            r"-o s3://b/f is a URL, .* Give -o s3://b/f --format parquet in pl.* npy\.$",
        ),
        (["v"], "s3://b", {"suffix": ".npy"}, "o s3://b --format parquet in place of --suffix"),
        (
            ["v"],
            "gs://b/one.parquet",
            {},
            r"-o gs://b/one.parquet is a URL that reads as one file, .* Give -o gs://b/one\.$",
        ),
        (["a.mp4"], "memory://one.npy", {}, r"Give -o memory://one --format parquet\.$"),
        (["a.mp4"], "az://b/x.NPY", {"format": "parquet"}, r"Give -o az://b/x\.$"),
        (["a.mp4"], "s3://b", {}, r"-o s3://b is a URL, .* Give -o s3://b --format parquet\.$"),
        (["https://h/x.mp4"], "v", {}, r"https://h/x.mp4 one video\. Give a file: v/x.mp4.npy"),
        (["v"], "s3://", {}, "-o s3: begins like a URL, and is none that can be written to"),
        (["v"], "simplecache::s3://b/x", {}, "Give a URL such as s3://bucket/feats, or the abso"),
        (["v"], "x:y", {}, True),
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
