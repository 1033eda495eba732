#!/usr/bin/env python
"""Time ``vidmoco extract`` by two Ray workers against two decoding processes, in pairs.

    python tools/bench_ray.py videos/ --videos 60 --pairs 3

Ray runs before the first pair. The start of an extraction (processes, imports, weights) is what two
videos take, a worker's first each; it is told apart, and taken off before the rates are compared.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
import ray
from bench_dataset import copy_sample

from vidmoco.cli.main import main

ENGINES = {
    "local": ["--workers", "2"],
    "ray": ["--engine", "ray", "--ray-workers", "2"],
}


def run(videos: Path, output: Path, words: list[str]) -> tuple[float, int]:
    """Return how long an extraction takes, and its rows."""
    shutil.rmtree(output, ignore_errors=True)
    began = time.monotonic()
    if main(["extract", str(videos), "-o", str(output), *words]) == 2:
        raise SystemExit("it failed")
    seconds = time.monotonic() - began
    return seconds, sum(pq.read_metadata(path).num_rows for path in output.glob("part-*.parquet"))


def bench() -> None:
    """Run the pairs and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--videos", dest="number", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--backbone", default="random:resnet18")
    parser.add_argument("--size", default="64")
    given = parser.parse_args()
    words = ["--backbone", given.backbone, "--size", given.size, "--device", "cpu"]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    ratios = []
    with tempfile.TemporaryDirectory() as temporary:
        few, many, output = (Path(temporary, name) for name in ("few", "many", "out"))
        for folder, number in ((few, 2), (many, given.number)):
            copy_sample(given.videos, folder, number)
        for pair in range(given.pairs):
            rates = {}
            for engine in list(ENGINES)[:: 1 if pair % 2 else -1]:
                start, rows_of_start = run(few, output, [*words, *ENGINES[engine]])
                seconds, rows = run(many, output, [*words, *ENGINES[engine]])
                rates[engine] = (rows - rows_of_start) / (seconds - start)
                print(f"{engine}: {rows} rows in {seconds:.1f} s, of which start {start:.1f} s")
            ratios.append(rates["ray"] / rates["local"])
            print({engine: round(rate, 1) for engine, rate in rates.items()})
    print(f"ray / local: median {statistics.median(ratios):.3f}", [f"{r:.3f}" for r in ratios])


if __name__ == "__main__":
    bench()
