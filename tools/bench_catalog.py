"""Time and memory to build and load a large catalog and to begin a training; prints a table.

    python tools/bench_catalog.py VIDEO [--videos 1000 1000000] [--workers 8]

Every row of the catalogs is the file VIDEO. Shared memory counts once. The smallest catalog shows
what imports and decoders take.
"""

# Imports are in the functions, because the spawned processes import this file too.
import argparse
import multiprocessing
import os
import tempfile
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path


def main() -> None:
    """Print a table with rows for each catalog."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--videos", type=int, nargs="+", default=[1_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=8)
    given = parser.parse_args()
    print("| videos | | seconds | memory of all processes, MB |")
    print("|---|---|---|---|")
    start = multiprocessing.get_context("spawn").Process  # a fresh process for each measurement
    for number in given.videos:
        with tempfile.TemporaryDirectory() as folder:
            for step in (
                start(target=build_catalog, args=(given.video.absolute(), Path(folder), number)),
                start(target=load_and_begin, args=(Path(folder), number, given.workers)),
            ):
                step.start()
                step.join()


def build_catalog(video: Path, folder: Path, num_videos: int) -> None:
    """Write a catalog of one video with many names."""
    import pyarrow as pa

    from vidmoco.video.catalog import SCHEMA, Catalog
    from vidmoco.video.probe import probe_video

    (folder / "v").symlink_to(video.parent)
    row = probe_video(video, root=video.parent)
    began = time.monotonic()
    plain = asdict(row) | {"root": str(folder)}
    same = pa.array([0] * num_videos, pa.int64())
    columns = {name: pa.array([value]).take(same) for name, value in plain.items()}
    # v/./././clip.mp4 and so on are other names of the same file.
    keys = [f"v/{'./' * (number % 7)}{row.path.name}" for number in range(num_videos)]
    columns["key"] = pa.array(keys)
    table = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    Catalog(table).save(folder / "catalog.parquet")
    line(num_videos, "build and save", began)


def load_and_begin(folder: Path, num_videos: int, workers: int) -> None:
    """Load a catalog and take the first batch of a training."""
    from vidmoco.data.loader import canvas_size, cut_batches, load_pairs
    from vidmoco.data.sampling import PairRule
    from vidmoco.video.catalog import Catalog

    line(num_videos, "imports", time.monotonic())
    began = time.monotonic()
    catalog = Catalog.load(folder / "catalog.parquet")
    line(num_videos, "load", began)
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
        workers=workers,
    )
    with closing(batches):
        next(batches)
        name = f"first batch, {workers} processes on {os.cpu_count()} cores"
        line(num_videos, name, began)


def line(num_videos: int, name: str, began: float) -> None:
    """Print a row of the table."""
    from processes import memory_bytes

    seconds, memory = time.monotonic() - began, memory_bytes() / 1e6
    print(f"| {num_videos:,} | {name} | {seconds:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
