"""Datasets that tests write themselves, without a backbone."""

import time
from pathlib import Path

import numpy as np

from vidmoco.features.dataset import Dataset, open_or_begin
from vidmoco.features.dataset_part import Entry
from vidmoco.features.dataset_writer import DatasetWriter
from vidmoco.features.feature_file import Piece
from vidmoco.features.output_folder import output_folder
from vidmoco.features.stream import VideoFeatures
from vidmoco.video.info import VideoInfo

PREPROCESS = {"size": 32, "crop_pct": 0.875, "interpolation": "bilinear", "crop_mode": "center"}


def settings_of(dim=4, **changed):
    return {
        "backbone": "runs/none",
        "architecture": "resnet18",
        "weights_hash": "0123456789abcdef",
        "preprocess": PREPROCESS,
        "precision": "fp32",
        "fps": None,
        "every": 1,
        "dtype": "float32",
        "dim": dim,
        "row_shape": [dim],
        "labels": [],
    } | changed


def begin(place, **settings) -> Dataset:
    folder = output_folder(Path(place))
    folder.make()
    return open_or_begin(folder, settings_of(**settings))


def entry_of(name, *, made=None, identity="1", source=None, labels=None):
    return Entry(
        video=name, video_id=f"id of {name}", identity=identity, source=source or f"/gone/{name}",
        source_bytes=1, source_mtime_ns=2, seconds=3.0, start_seconds=0.0,
        made=time.time() if made is None else made, labels=labels or {},
    )  # fmt: skip


def features_of(values, *, batch=2, failure=None):
    """The features of a video, as they come from a backbone; frames are a second apart."""

    def pieces():
        for start in range(0, len(values), batch):
            numbers = np.arange(start, min(start + batch, len(values)), dtype=np.int64)
            yield Piece(values[start : start + batch], numbers.astype(np.float64), numbers)
        if failure is not None:
            raise failure

    info = VideoInfo(root="/gone", key="a.mp4", num_bytes=1, mtime_ns=2)
    return VideoFeatures(info, pieces(), values.shape[1:], [], [])


def values_of(rows, dim=4, *, first=0):
    """float32 (rows, dim): row r is r, r, r …, from ``first`` on."""
    return np.repeat(np.arange(first, first + rows, dtype=np.float32)[:, None], dim, axis=1)


def writer_of(dataset, *, worker="0000000a", committed=None):
    done = [] if committed is None else committed
    return DatasetWriter(dataset, worker=worker, on_commit=done.extend)


def write(dataset, *videos, worker="0000000a", **entry):
    """Write videos, each (name, values), into one part."""
    writer = writer_of(dataset, worker=worker)
    for name, values in videos:
        writer.add(features_of(values), entry_of(name, **entry))
    writer.flush()


def rows_of(dataset):
    """(video, frame, first number of the feature) of all rows in the folder, sorted."""
    import pyarrow.parquet as pq

    dataset.refresh()
    found = []
    for name in dataset.parts:
        with dataset.folder.open(name) as file:
            table = pq.read_table(file)
        features = [row[0] for row in table["feature"].to_pylist()]
        found += zip(table["video"].to_pylist(), table["frame"].to_pylist(), features, strict=True)
    return sorted(found)
