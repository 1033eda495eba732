"""Compare loaders by pairs of frames per second and per CPU-second; prints a Markdown table.

    python tools/bench_loader.py VIDEOS [--size 64 224] [--rounds 5] [--lance PICTURES]

All loaders yield batches of uint8 pairs on one canvas: two frames at random times of a video, each
video once per batch, without augmentation. The naive loader uses decord as its README does, opened
for each item of a DataLoader; it resizes while it decodes. PICTURES is what stable-pretraining
(``build_lance_video_dataset(VIDEOS, PICTURES, resize=128)``) has made of the videos; its segments
are two frames, 15 apart. Loaders take turns, and numbers are medians of the rounds. CPU time and
memory are those of all processes together.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch  # before decord
from processes import cpu_seconds, peak_memory
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vidmoco.config.commands import PrepareCommand
from vidmoco.data.loader import canvas_size, cut_batches, load_pairs
from vidmoco.data.order import Batching
from vidmoco.data.prepared_loader import load_prepared
from vidmoco.data.sampling import PairRule
from vidmoco.frames.prepare import prepare
from vidmoco.frames.prepared import PreparedFrames, open_prepared
from vidmoco.video.catalog import Catalog
from vidmoco.video.open_catalog import open_catalog

BATCH = 64
CANVAS_OF_SIZE = {64: 72, 224: 256}  # short side of the canvas from which crops are taken
PREPARED_SIDES = {64: (72, 128), 224: (240,)}


@dataclass
class Measurement:
    """One round of one loader."""

    pairs_per_second: float
    cpu_ms_per_pair: float
    memory: int


class NaivePairs(Dataset[Tensor]):
    """Two random frames of a video by decord, which opens the video for each item."""

    def __init__(self, paths: list[str], canvas: tuple[int, int]) -> None:
        self.paths, self.canvas = paths, canvas

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """Return (2, 3, H, W) in uint8."""
        import decord

        height, width = self.canvas
        reader = decord.VideoReader(
            self.paths[index], ctx=decord.cpu(0), width=width, height=height, num_threads=1
        )
        indices = torch.randint(len(reader), (2,)).sort().values.tolist()
        return torch.from_numpy(reader.get_batch(indices).asnumpy()).permute(0, 3, 1, 2)


class NaiveTorchcodec(NaivePairs):
    """The same by torchcodec, if it is installed."""

    def __getitem__(self, index: int) -> Tensor:
        """Return (2, 3, H, W) in uint8."""
        from torchcodec.decoders import VideoDecoder

        decoder = VideoDecoder(self.paths[index], num_ffmpeg_threads=1, seek_mode="approximate")
        indices = torch.randint(len(decoder), (2,)).sort().values.tolist()
        frames = decoder.get_frames_at(indices).data
        return torch.nn.functional.interpolate(frames, self.canvas, mode="bilinear", antialias=True)


class LanceSegments(Dataset[Tensor]):
    """Two frames of a video by stable-pretraining, 128 x 128."""

    def __init__(self, folder: Path) -> None:
        from stable_pretraining.data import LanceVideoSegments

        self.segments = LanceVideoSegments(folder, window_length=2, frame_skip=14)

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, index: int) -> Tensor:
        """Return (2, H, W, 3) in uint8."""
        frames: Tensor = self.segments[index]["video"]
        return frames


def by_loader(dataset: Dataset[Tensor], *, workers: int) -> Iterator[Tensor]:
    """Yield batches for ever."""
    loader = DataLoader(
        dataset,
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )
    while True:
        yield from loader


def visits(catalog: Catalog, batching: Batching, canvas: tuple[int, int], workers: int) -> Any:
    """Yield batches for ever."""
    return load_pairs(
        catalog,
        batching,
        rule=PairRule(),
        seed=0,
        canvas=canvas,
        steps=range(10**9),
        workers=workers,
    )


def prepared(frames: PreparedFrames, canvas: tuple[int, int], workers: int) -> Any:
    """Yield batches for ever."""
    return load_prepared(
        frames,
        Batching(num_sources=len(frames.videos), batch_size=BATCH),
        rule=PairRule(),
        seed=0,
        canvas=canvas,
        steps=range(10**9),
        workers=workers,
    )


def measure(build: Callable[[], Any], *, warm_up: int, batches: int) -> Measurement:
    """Return the cost of ``batches`` after ``warm_up`` batches; both are whole blocks of visits."""
    stream = build()
    with peak_memory() as peak:
        for _ in range(warm_up):
            next(stream)
        cpu, began = cpu_seconds(), time.monotonic()
        for _ in range(batches):
            next(stream)
        seconds, cpu = time.monotonic() - began, cpu_seconds() - cpu
    stream.close()
    pairs = BATCH * batches
    return Measurement(pairs / seconds, 1e3 * cpu / pairs, peak[0])


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--size", type=int, nargs="+", default=[64, 224], choices=[64, 224])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--lance", type=Path)
    given = parser.parse_args()
    catalog = open_catalog([given.videos]).readable()
    paths = [str(info.path) for info in catalog.rows() if info.route == "decord"]
    with tempfile.TemporaryDirectory() as temporary:
        for size in given.size:
            canvas = canvas_size(catalog.aspect_ratios(), short_side=CANVAS_OF_SIZE[size])
            print(f"\n{size} px: canvas {canvas[1]} x {canvas[0]}, {len(catalog)} videos\n")
            epoch = len(catalog) // BATCH
            loaders: dict[str, tuple[Callable[[], Any], int, int]] = {}

            naives = {"naive decord": NaivePairs}
            if torchcodec_works():
                naives["naive torchcodec"] = NaiveTorchcodec
            for name, kind in naives.items():
                dataset = kind(paths, canvas)
                loaders[name] = (partial(by_loader, dataset, workers=given.workers), 4, epoch)
            for pairs in (1, 4, 8):
                batching = cut_batches(
                    num_sources=len(catalog),
                    batch_size=BATCH,
                    canvas=canvas,
                    pairs_per_visit=pairs,
                    block_gib=2.0,
                )
                block = pairs * batching.largest_block
                build = partial(visits, catalog, batching, canvas, given.workers)
                name = f"visits of {pairs}" if pairs > 1 else "visits of 1 (each pair by itself)"
                loaders[name] = (build, block, block * max(1, round(2 * epoch / block)))
            for side in PREPARED_SIDES[size]:
                folder = Path(temporary) / f"frames-{side}"
                if not folder.exists():
                    prepare(PrepareCommand(videos=(given.videos,), output=folder, short_side=side))
                build = partial(prepared, open_prepared(folder), canvas, given.workers)
                loaders[f"prepared, short side {side}"] = (build, 8, 4 * epoch)
            if given.lance is not None:
                build = partial(by_loader, LanceSegments(given.lance), workers=given.workers)
                loaders["stable-pretraining's segments"] = (build, 8, 4 * epoch)
            print_table(loaders, rounds=given.rounds)


def torchcodec_works() -> bool:
    """Return whether torchcodec is installed and finds its FFmpeg."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError, OSError) as error:
        print(f"torchcodec: {str(error).splitlines()[0]}")
        return False
    return True


def print_table(loaders: dict[str, tuple[Callable[[], Any], int, int]], *, rounds: int) -> None:
    """Measure all loaders in turn and print the medians."""
    found: dict[str, list[Measurement]] = {name: [] for name in loaders}
    for _ in range(rounds):
        for name, (build, warm_up, batches) in loaders.items():
            found[name].append(measure(build, warm_up=warm_up, batches=batches))
    base = median(m.cpu_ms_per_pair for m in found["naive decord"])
    base_rate = median(m.pairs_per_second for m in found["naive decord"])
    print("| loader | pairs/s | CPU-ms/pair | pairs per CPU-second | pairs/s | peak memory, GB |")
    print("|---|---|---|---|---|---|")
    for name, rows in found.items():
        cpu = median(row.cpu_ms_per_pair for row in rows)
        rate = median(row.pairs_per_second for row in rows)
        memory = median(row.memory for row in rows) / 1e9
        print(
            f"| {name} | {rate:.0f} | {cpu:.2f} | {base / cpu:.1f}x | {rate / base_rate:.1f}x "
            f"| {memory:.2f} |"
        )


if __name__ == "__main__":
    main()
