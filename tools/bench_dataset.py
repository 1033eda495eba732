#!/usr/bin/env python
"""Time ``vidmoco extract`` into a dataset against a `.npy` file per video, in pairs.

    python tools/bench_dataset.py videos/ --videos 60 --pairs 5

Each pair is one run of either, in turns first; the ratio is that of their times. The first pair
also reads the videos into the page cache and is left out.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from vidmoco.cli.main import main
from vidmoco.video.files import VIDEO_SUFFIXES


def copy_sample(videos: Path, folder: Path, number: int) -> None:
    """Copy as many videos to a new folder, evenly spaced in the order of their names."""
    files = sorted(p for p in videos.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    folder.mkdir()
    for place, file in enumerate(files[:: max(1, len(files) // number)][:number]):
        shutil.copy(file, folder / f"{place}{file.suffix}")


def seconds_of(videos: Path, output: Path, words: list[str]) -> float:
    """Return how long a command takes in this process."""
    shutil.rmtree(output, ignore_errors=True)
    began = time.monotonic()
    main(["extract", str(videos), "-o", str(output), *words])
    return time.monotonic() - began


def bench() -> None:
    """Run the pairs and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--videos", dest="number", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--backbone", default="random:resnet18")
    parser.add_argument("--size", default="64")
    given = parser.parse_args()
    words = ["--backbone", given.backbone, "--size", given.size]
    ratios = []
    with tempfile.TemporaryDirectory() as temporary:
        sample, output = Path(temporary, "sample"), Path(temporary, "out")
        copy_sample(given.videos, sample, given.number)
        for pair in range(given.pairs + 1):
            times = {}
            for kind in ("npy", "parquet")[:: 1 if pair % 2 else -1]:
                times[kind] = seconds_of(sample, output, [*words, "--format", kind])
                if kind == "parquet":
                    tables = [pq.read_metadata(path) for path in output.glob("part-*.parquet")]
            rows = sum(table.num_rows for table in tables)
            rates = {kind: rows / seconds for kind, seconds in times.items()}
            if pair:
                ratios.append(rates["parquet"] / rates["npy"])
            print({kind: round(rate, 1) for kind, rate in rates.items()}, rows, len(tables))
    print(f"parquet / npy: median {statistics.median(ratios):.3f}", [f"{r:.3f}" for r in ratios])


if __name__ == "__main__":
    bench()
