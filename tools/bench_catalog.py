"""A catalog of a million videos: time and memory to build, load, and begin to train; a table.

    python tools/bench_catalog.py VIDEO [--videos 1000000] [--workers 8]

Every row is of the one file VIDEO.
"""

import argparse
import os
import tempfile
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
from processes import memory_bytes

from vidmoco.video.loader import canvas_size, cut_batches, load_pairs
from vidmoco.video.probe import probe_video
from vidmoco.video.sampling import PairRule
from vidmoco.video.table import SCHEMA, Catalog


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=8)
    given = parser.parse_args()
    print("| | seconds | memory of all processes, MB |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "v").symlink_to(given.video.absolute().parent)
        row = probe_video(given.video.absolute(), root=given.video.absolute().parent)
        began = time.monotonic()
        plain = asdict(row) | {"root": str(folder)}
        same = pa.array([0] * given.videos, pa.int64())
        columns = {name: pa.array([value]).take(same) for name, value in plain.items()}
        # v/./././clip.mp4: other names of the same file.
        keys = [f"v/{'./' * (number % 7)}{row.path.name}" for number in range(given.videos)]
        columns["key"] = pa.array(keys)
        table = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
        Catalog(table).save(folder / "catalog.parquet")
        del columns, keys, table
        line("build and save", began)
        begun_with = memory_bytes()
        began = time.monotonic()
        catalog = Catalog.load(folder / "catalog.parquet")
        line("load", began, less=begun_with)
        canvas = canvas_size(catalog.aspect_ratios(), short_side=72)
        batching = cut_batches(
            num_videos=len(catalog), batch_size=64, canvas=canvas, pairs_per_visit=4, block_gib=0.1
        )
        began = time.monotonic()
        batches = load_pairs(
            catalog,
            batching,
            rule=PairRule(),
            seed=0,
            canvas=canvas,
            steps=range(10**6),
            workers=given.workers,
        )
        with closing(batches):
            next(batches)
            line(f"first batch, {given.workers} processes on {os.cpu_count()} cores", began)
            with_workers = memory_bytes()
            print(
                f"| of that beyond what it began with | | {(with_workers - begun_with) / 1e6:.0f} |"
            )


def line(name: str, began: float, *, less: int = 0) -> None:
    """Print a row of the table."""
    seconds = time.monotonic() - began
    print(f"| {name} | {seconds:.1f} | {(memory_bytes() - less) / 1e6:.0f} |", flush=True)


if __name__ == "__main__":
    main()
