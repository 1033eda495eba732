"""Compare decord with PyAV's forward reader on H.264, by CPU time per visit; prints a table.

    python tools/bench_decord.py VIDEOS [--videos 120] [--rounds 3]

A visit opens a video, reads frames at N random times in their order, and makes them small. "decord"
decodes full frames and resizes them as the forward reader's are; "decord, small" has decord resize
while it decodes. All use one thread, in turn, on the same times; numbers are medians of the rounds.
"""

import argparse
import random
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch  # before decord

from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.shapes import Float64
from vidmoco.video.forward_reader import ForwardReader, reads_forward
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.resize import resize_frames

import decord  # isort: skip

HEIGHT, WIDTH = 72, 128


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=120, help="number of videos")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = open_catalog([given.folder]).readable().rows()
    videos = [video for video in rows if video.route == "decord" and reads_forward(video)]
    videos = random.Random(0).sample(videos, min(given.videos, len(videos)))
    forward = ForwardReader(DEFAULT_LIMITS)

    def by_pyav(video: VideoInfo, times: Float64[np.ndarray, " t"]) -> None:
        frames = forward.read(video, times)
        assert frames is not None
        resize_frames(frames.images, height=HEIGHT, width=WIDTH)

    def by_decord(video: VideoInfo, times: Float64[np.ndarray, " t"]) -> None:
        resize_frames(_frames(video, times), height=HEIGHT, width=WIDTH)

    def by_decord_small(video: VideoInfo, times: Float64[np.ndarray, " t"]) -> None:
        _frames(video, times, width=WIDTH, height=HEIGHT)

    readers = {"PyAV": by_pyav, "decord": by_decord, "decord, small": by_decord_small}
    print("| frames of a visit |" + "".join(f" {name}, CPU-ms |" for name in readers))
    print("|---" * (len(readers) + 1) + "|")
    for count in (2, 8, 16):
        spent: dict[str, list[float]] = {name: [] for name in readers}
        for seed in range(given.rounds):
            generator = np.random.default_rng(seed)
            times = [
                np.unique(generator.uniform(0, video.duration_seconds, count)) for video in videos
            ]
            for name, read in readers.items():
                began = time.process_time()
                for video, some in zip(videos, times, strict=True):
                    read(video, some)
                spent[name].append((time.process_time() - began) / len(videos) * 1000)
        first = median(spent["PyAV"])
        cells = [f" {median(one):.1f} ({first / median(one):.2f}) |" for one in spent.values()]
        print(f"| {count} |" + "".join(cells))


def _frames(video: VideoInfo, times: Float64[np.ndarray, " t"], **size: int) -> np.ndarray:
    reader = decord.VideoReader(str(video.path), ctx=decord.cpu(0), num_threads=1, **size)
    starts = reader.get_frame_timestamp(range(len(reader)))[:, 0].astype(np.float64)
    shown = (np.searchsorted(starts, times, side="right") - 1).clip(0)
    images: np.ndarray = reader.get_batch(np.unique(shown).tolist()).asnumpy()
    return images


if __name__ == "__main__":
    main()
