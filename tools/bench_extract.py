#!/usr/bin/env python
"""Compare extraction with a naive loop and with its upper bounds; prints a Markdown table.

    python tools/bench_extract.py videos/ --frames 2000
    python tools/bench_extract.py clip.mp4 --memory

The variants take turns on the same frames. Numbers are medians of five rounds after a warm-up
round: frames per second of wall time, and the CPU time of this process and its children.

    naive        PyAV, torchvision's transforms per frame, the backbone per batch; one process
    model only   normalises uint8 inputs in memory and passes them through the backbone
    decode only  PyAV with one thread; the pictures are not used
    ours         vidmoco.extract_videos with its files, after its processes have started
    ours, cold   the same with the start of its processes, which import torch and all that this
                 script imports: some seconds, however long the videos are

The backbone has random weights. ``--memory`` also prints the peak memory of extracting a video of
one minute and a video of ``--minutes`` (320 x 180, 30 frames per second).
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import av
import numpy as np
import torch
from processes import cpu_seconds, peak_memory
from torch import Tensor
from torchvision.transforms import v2

from vidmoco.backbones.frozen import FrozenBackbone, load_frozen
from vidmoco.device import autocast, keep_freed_memory, resolve_device
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.extract import extract_videos
from vidmoco.features.extraction import Extraction
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.probe import probe_video

ROUNDS = 5
MEMORY_SIZE, MEMORY_FPS = (320, 180), 30


@dataclass(frozen=True)
class Cost:
    """The cost of one variant for all frames."""

    seconds: float
    cpu_seconds: float


def build(arguments: argparse.Namespace) -> FrozenBackbone:
    """Return a backbone of random weights."""
    frozen = load_frozen(
        f"random:{arguments.backbone}", size=arguments.size, precision=arguments.precision
    )
    frozen.move_to(resolve_device(arguments.device))
    return frozen


def pictures(videos: list[VideoInfo]) -> Iterator[av.VideoFrame]:
    """Yield all frames of the videos, decoded by one thread."""
    for video in videos:
        with av.open(str(video.path)) as container:
            container.streams.video[0].thread_count = 1
            yield from container.decode(video=0)


@torch.inference_mode()
def naive(frozen: FrozenBackbone, videos: list[VideoInfo], batch_size: int, output: Path) -> None:
    """Extract as one would without a toolkit, and save the features of each video."""
    preprocess = frozen.preprocess
    short_side = int(preprocess.size / preprocess.crop_pct)
    mode = v2.InterpolationMode(preprocess.interpolation)
    transform = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(short_side, interpolation=mode, antialias=True),
            v2.CenterCrop(preprocess.size),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(preprocess.mean, preprocess.std),
        ]
    )

    def forward(images: list[Tensor]) -> np.ndarray:
        inputs = torch.stack(images).to(frozen.device, memory_format=torch.channels_last)
        with autocast(frozen.device, frozen.precision):
            features: Tensor = frozen.backbone(inputs)
        return features.float().cpu().numpy()

    for number, video in enumerate(videos):
        features, images = [], []
        for picture in pictures([video]):
            images.append(transform(picture.to_ndarray(format="rgb24")))
            if len(images) == batch_size:
                features.append(forward(images))
                images = []
        if images:
            features.append(forward(images))
        np.save(output / f"{number}.npy", np.concatenate(features))


@torch.inference_mode()
def model_only(frozen: FrozenBackbone, num_frames: int, batch_size: int) -> None:
    """Pass as many frames through the backbone, from one uint8 batch on its device."""
    size = frozen.preprocess.size
    images = torch.randint(0, 256, (batch_size, 3, size, size), dtype=torch.uint8)
    images = images.to(frozen.device)
    for start in range(0, num_frames, batch_size):
        features = frozen.features(images[: num_frames - start])
    features.cpu()  # waits for the device


def decode_only(videos: list[VideoInfo]) -> None:
    """Decode every frame."""
    for _ in pictures(videos):
        pass


def ours(
    frozen: FrozenBackbone,
    videos: list[VideoInfo],
    batch_size: int,
    output: Path,
    *,
    started: bool = False,
    workers: int | None = None,
) -> Cost:
    """Extract with vidmoco. A video that fails ends the comparison.

    With ``started`` the first video is extracted once more beforehand, which is not counted.
    """
    wanted = videos[:1] * started + videos
    todo = [Extraction(video, output / f"{number}.npy") for number, video in enumerate(wanted)]
    began, before = time.monotonic(), cpu_seconds()
    results = extract_videos(frozen, todo, batch_size=batch_size, workers=workers)
    for number, (extraction, result) in enumerate(results):
        video = extraction.video
        if isinstance(result, Exception):
            raise result
        if result != video.num_frames:
            raise ValueError(f"{video.path}: {result} rows, {video.num_frames} frames")
        if started and number == 0:
            began, before = time.monotonic(), cpu_seconds()
    return Cost(time.monotonic() - began, cpu_seconds() - before)


def measured(work: Callable[[], None]) -> Cost:
    """Return the cost of ``work``."""
    began, before = time.monotonic(), cpu_seconds()
    work()
    return Cost(time.monotonic() - began, cpu_seconds() - before)


def compare(frozen: FrozenBackbone, videos: list[VideoInfo], batch_size: int) -> dict[str, Cost]:
    """Return the medians of the sides, which take turns."""
    num_frames = sum(video.num_frames for video in videos)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        sides: dict[str, Callable[[], Cost]] = {
            "naive": lambda: measured(lambda: naive(frozen, videos, batch_size, output)),
            "model only": lambda: measured(lambda: model_only(frozen, num_frames, batch_size)),
            "decode only": lambda: measured(lambda: decode_only(videos)),
            "ours": lambda: ours(frozen, videos, batch_size, output, started=True),
            "ours, cold": lambda: ours(frozen, videos, batch_size, output),
        }
        costs: dict[str, list[Cost]] = {name: [] for name in sides}
        for number in range(ROUNDS + 1):
            for name, work in sides.items():
                cost = work()
                if number:
                    costs[name].append(cost)
    return {
        name: Cost(median(c.seconds for c in rounds), median(c.cpu_seconds for c in rounds))
        for name, rounds in costs.items()
    }


def synthetic(path: Path, minutes: float) -> VideoInfo:
    """Write a video of a moving gradient and return its catalog row."""
    width, height = MEMORY_SIZE
    slope = np.add.outer(np.arange(height), np.arange(width))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=MEMORY_FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(minutes * 60 * MEMORY_FPS)):
            picture = np.repeat((slope + number)[..., None], 3, axis=2).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return probe_video(path, root=path.parent)


def peak_of_extracting(arguments: argparse.Namespace, video: VideoInfo, batch_size: int) -> int:
    """Return the greatest memory in bytes of extracting a video, beside its file."""
    frozen = build(arguments)
    keep_freed_memory(frozen.device)  # as `extract` does; all sides have it
    with peak_memory(every_seconds=0.1) as peak:
        ours(frozen, [video], batch_size, video.path.parent)
    return peak[0]


def print_memory(arguments: argparse.Namespace, batch_size: int) -> None:
    """Print the peak memory for a video of one minute and for a long one.

    Each video is written and extracted in fresh processes, because leftovers in this process's heap
    would count.
    """
    peaks = []
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as fresh,
    ):
        for number, minutes in enumerate((1.0, arguments.minutes)):
            video = fresh.submit(synthetic, Path(folder) / f"{number}.mp4", minutes).result()
            peaks.append(fresh.submit(peak_of_extracting, arguments, video, batch_size).result())
            print(f"{minutes:g} min, {video.num_frames} frames: {peaks[-1] / 1e6:.0f} MB at most")
    print(f"difference: {(peaks[1] - peaks[0]) / 1e6:+.0f} MB")


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("videos", type=Path, help="a video, a folder of videos or a catalog")
    parser.add_argument("--backbone", default="resnet18", help="timm name; random weights")
    parser.add_argument("--size", type=int, default=224, help="input side in pixels")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--frames", type=int, help="take whole videos until this many frames")
    parser.add_argument("--memory", action="store_true", help="measure memory as well")
    parser.add_argument("--minutes", type=float, default=20.0, help="of the long video of --memory")
    return parser.parse_args()


def main() -> None:
    """Compare, and print the table."""
    arguments = parse()
    frozen = build(arguments)
    batch_size = arguments.batch_size or default_batch_size(frozen)
    videos: list[VideoInfo] = []
    for video in open_catalog([arguments.videos]).readable().rows():
        if arguments.frames and sum(v.num_frames for v in videos) >= arguments.frames:
            break
        videos.append(video)
    num_frames = sum(video.num_frames for video in videos)
    print(
        f"{len(videos)} videos, {num_frames} frames; {arguments.backbone}, "
        f"{frozen.preprocess.size} px, {frozen.precision}, {frozen.device}, batches of "
        f"{batch_size}, {torch.get_num_threads()} threads\n"
    )
    costs = compare(frozen, videos, batch_size)
    slower = max(costs[name].seconds for name in ("model only", "decode only"))
    print("| side | frames/s | CPU s / 1000 frames | of the slower of model and decode |")
    print("|---|---|---|---|")
    for name, cost in costs.items():
        print(
            f"| {name} | {num_frames / cost.seconds:.0f} | "
            f"{1000 * cost.cpu_seconds / num_frames:.2f} | {slower / cost.seconds:.2f} |"
        )
    if arguments.memory:
        print()
        print_memory(arguments, batch_size)


if __name__ == "__main__":
    main()
