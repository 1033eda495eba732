"""Time commands from their start to the first frame, feature and step; prints a Markdown table.

    python tools/bench_startup.py VIDEOS [--clips 1 55 957] [--rounds 3]

Each command runs in a process of its own and is ended at its first result. Every time it inspects
the videos anew, because its cache is empty. CPU time is that of the command and all its processes.
Commands take turns, and numbers are medians of the rounds. The first row is what every command
with a network has to import.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from processes import cpu_seconds

from vidmoco.urls import expand_lists
from vidmoco.video.scan import listed_files

VIDMOCO = [sys.executable, "-m", "vidmoco"]
FIRST_FRAME = """
import sys
from pathlib import Path
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.requests import Request, read_requests
video = open_catalog([Path(sys.argv[1])], progress=False)[0]
print(next(read_requests([Request(video, (0.0,))])).images[0].shape)
"""
MISTAKES = {
    "mistaken flag": ["pretrain", "--nonsense", "3"],
    "mistaken path": ["extract", "nowhere.mp4", "-o", "out.npy"],
    "mistaken recipe": ["pretrain", ".", "--recipe", "nonsense"],
    "mistaken backbone": ["evaluate", ".", "--backbone", "resnet5O"],
}


@dataclass(frozen=True)
class Timing:
    """Seconds from the start of a command."""

    wall: float
    cpu: float
    line: float | None
    """Until its first output."""


@dataclass(frozen=True)
class Row:
    """A command, and what says that its first result is there."""

    name: str
    words: list[str]
    is_there: Callable[[Path], bool] | None = None
    """Asked of the folder it runs in. None means that the command ends."""


def rows_of(lists: dict[int, Path]) -> list[Row]:
    """Return the rows for each number of clips, whose list is at a path."""
    rows = [Row("`import torch, timm`", [sys.executable, "-c", "import torch, timm"])]
    rows += [Row(name, [*VIDMOCO, *words]) for name, words in MISTAKES.items()]
    for count, path in lists.items():
        clips = f"@{path}"
        network = ["--backbone", "random:resnet18", "--device", "cpu"]
        first = path.read_text().splitlines()[0]
        rows += [
            Row(f"first frame, {count}", [sys.executable, "-c", FIRST_FRAME, clips]),
            Row(
                f"first feature, {count}",
                [*VIDMOCO, "extract", clips, "-o", "out", "--format", "npy", *network],
                lambda folder: any(folder.glob("out/**/*.npy")),
            ),
            Row(
                f"first step, {count}",
                [*VIDMOCO, "pretrain", clips, "--run", "run", "--engine.log-every", "1",
                 "--engine.device", "cpu", "--recipe", "tiny_cpu"],
                lambda folder: any(one.stat().st_size for one in folder.glob("run/metrics.jsonl")),
            ),
        ]  # fmt: skip
        if count == 1:
            words = [*VIDMOCO, "extract", first, "-o", "out.npy", *network]
            rows.append(Row("all features, 1", words))
    return rows


def time_row(row: Row) -> Timing:
    """Run a command until its first result."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cpu, began = cpu_seconds(), time.monotonic()
        process = subprocess.Popen(
            row.words, cwd=folder, env=os.environ | {"VIDMOCO_CACHE": str(folder / "cache")},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        output: list[tuple[float, bytes]] = []
        reader = threading.Thread(target=_read, args=(process, output))
        reader.start()
        while process.poll() is None and not (row.is_there and row.is_there(folder)):
            time.sleep(0.01)
        wall = time.monotonic() - began
        timing = Timing(wall, cpu_seconds() - cpu, output[0][0] - began if output else None)
        there = row.is_there is None or row.is_there(folder)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()
        if not there:
            raise SystemExit(b"".join(text for _, text in output).decode(errors="replace"))
    return timing


def _read(process: "subprocess.Popen[bytes]", output: list[tuple[float, bytes]]) -> None:
    assert process.stdout is not None
    while text := process.stdout.read1():  # type: ignore[attr-defined]
        output.append((time.monotonic(), text))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--clips", type=int, nargs="+", default=[1, 55, 957])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    found = listed_files(expand_lists(args.videos), follow_links=False)
    paths = [str(root / file.key) for root, file in found]
    with tempfile.TemporaryDirectory() as folder:
        lists = {}
        for count in args.clips:
            if count > len(paths):
                raise SystemExit(f"There are only {len(paths)} clips, fewer than {count}.")
            lists[count] = Path(folder) / f"{count}.txt"
            lists[count].write_text("\n".join(paths[:count]) + "\n")
        rows = rows_of(lists)
        rounds = [[time_row(row) for row in rows] for _ in range(args.rounds)]
    print("| until | wall s | CPU s | first line s |\n|---|---|---|---|")
    for row, *timings in zip(rows, *rounds, strict=True):
        wall, cpu = (median(getattr(one, key) for one in timings) for key in ("wall", "cpu"))
        lines = [one.line for one in timings if one.line is not None]
        line = f"{median(lines):.2f}" if lines else ""
        print(f"| {row.name} | {wall:.2f} | {cpu:.2f} | {line} |", flush=True)


if __name__ == "__main__":
    main()
