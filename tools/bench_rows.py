#!/usr/bin/env python
"""Write a dataset of many rows as ``vidmoco extract`` does, and count them in polars and DuckDB.

    python tools/bench_rows.py FOLDER --videos 20000 --frames 500

Features are random, and every video has as many. FOLDER gets 2 kB a row (20 GB for ten million) and
is left there. Memory is the peak of this process while it writes.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import polars

from vidmoco.features.dataset import open_or_begin
from vidmoco.features.dataset_part import Entry
from vidmoco.features.dataset_writer import DatasetWriter
from vidmoco.features.feature_file import Piece
from vidmoco.features.output_folder import output_folder
from vidmoco.features.stream import VideoFeatures
from vidmoco.video.info import VideoInfo

DIM = 512
SETTINGS = {
    "backbone": "none",
    "architecture": "none",
    "weights_hash": "0" * 16,
    "preprocess": {},
    "precision": "fp32",
    "fps": None,
    "every": 1,
    "dtype": "float32",
    "dim": DIM,
    "row_shape": [DIM],
    "labels": [],
}


def pieces(generator: np.random.Generator, frames: int) -> Iterator[Piece]:
    """Yield the rows of a video in one piece."""
    numbers = np.arange(frames, dtype=np.int64)
    yield Piece(generator.standard_normal((frames, DIM), np.float32), numbers / 25, numbers)


def write(place: Path, *, videos: int, frames: int) -> None:
    """Write a dataset."""
    folder = output_folder(place)
    folder.make()
    dataset = open_or_begin(folder, SETTINGS)
    writer = DatasetWriter(dataset, worker="0" * 8, on_commit=lambda ids: None)
    generator = np.random.default_rng(0)
    for number in range(videos):
        name = f"{number:06d}.mp4"
        info = VideoInfo(root="none", key=name, num_bytes=1, mtime_ns=1)
        entry = Entry(
            video=name, video_id=name, identity="", source=name, source_bytes=1, source_mtime_ns=1,
            seconds=frames / 25, start_seconds=0.0, made=time.time(),
        )  # fmt: skip
        writer.add(VideoFeatures(info, pieces(generator, frames), (DIM,), [], []), entry)
    writer.flush()


def bench() -> None:
    """Write, count, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=20_000)
    parser.add_argument("--frames", type=int, default=500)
    args = parser.parse_args()
    began = time.monotonic()
    write(args.folder, videos=args.videos, frames=args.frames)
    seconds = time.monotonic() - began
    files = list(args.folder.glob("*.parquet"))
    size = sum(file.stat().st_size for file in files)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{args.videos * args.frames:,} rows: {len(files)} files, {size / 2**30:.1f} GiB")
    print(f"| | seconds |\n|---|---|\n| write, at most {memory:,.0f} MB | {seconds:.1f} |")
    pattern = str(args.folder / "*.parquet")
    began = time.monotonic()
    counts = polars.scan_parquet(pattern).group_by("video").len().collect()
    print(f"| polars, rows by video | {time.monotonic() - began:.2f} |")
    assert counts["len"].to_list() == [args.frames] * args.videos
    began = time.monotonic()
    query = "SELECT video, count(*) FROM read_parquet(?) GROUP BY video"
    rows = duckdb.execute(query, [pattern]).fetchall()
    print(f"| DuckDB, rows by video | {time.monotonic() - began:.2f} |")
    assert {count for _, count in rows} == {args.frames} and len(rows) == args.videos


if __name__ == "__main__":
    bench()
