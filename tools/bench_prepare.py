"""Compare the CPU time of `vidmoco prepare` with that of decoding; prints a Markdown table.

    python tools/bench_prepare.py VIDEOS [--fps 2 4 8] [--rounds 3]

"Decoding alone" is PyAV with one thread over every frame of every readable video; no frame is
converted or kept. The variants take turns, and numbers are medians of the rounds. CPU time is that
of all processes.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import av
from processes import cpu_seconds
from rich.console import Console

from vidmoco.config.commands import PrepareCommand
from vidmoco.console import say
from vidmoco.frames.prepare import prepare
from vidmoco.video.open_catalog import open_catalog


def decode_all(paths: list[Path]) -> None:
    """Decode every frame of some videos."""
    for path in paths:
        with av.open(path, metadata_errors="replace") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            try:
                for _ in container.decode(stream):
                    pass
            except av.FFmpegError as error:
                print(f"{path}: {error}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--fps", type=float, nargs="+", default=[2.0, 4.0, 8.0])
    parser.add_argument("--short-side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    catalog = open_catalog([given.videos]).readable()
    paths = [video.path for video in catalog.rows()]
    costs: dict[str, list[tuple[float, float]]] = {}
    for number in range(given.rounds):
        for name in ("decoding alone", *(f"prepare --fps {fps:g}" for fps in given.fps)):
            with tempfile.TemporaryDirectory() as folder:
                cpu, began = cpu_seconds(), time.monotonic()
                if name == "decoding alone":
                    decode_all(paths)
                else:
                    fps, output = float(name.split()[-1]), Path(folder) / "frames"
                    settings = {"fps": fps, "short_side": given.short_side, "output": output}
                    prepare(PrepareCommand(videos=(given.videos,), **settings))
                cost = cpu_seconds() - cpu, time.monotonic() - began
            costs.setdefault(name, []).append(cost)
            say(Console(stderr=True), f"round {number + 1}: {name} {cost[1]:.0f} s")
    base = median(cpu for cpu, _ in costs["decoding alone"])
    print(f"{len(paths)} videos; short side {given.short_side}\n")
    print("| | CPU-ms per video | seconds | speed relative to decoding alone, by CPU time |")
    print("|---|---|---|---|")
    for name, of_rounds in costs.items():
        cpu, seconds = (median(part) for part in zip(*of_rounds, strict=True))
        print(f"| {name} | {1000 * cpu / len(paths):.1f} | {seconds:.1f} | {base / cpu:.2f} |")


if __name__ == "__main__":
    main()
