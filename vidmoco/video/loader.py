"""Moments to batches of uint8 pairs, in an order that is a function of (seed, epoch, index).

One ``DataLoader`` serves the whole run, so no epoch waits for its workers to start. Workers are
spawned, never forked, and each opens and closes a video inside one call, with one decoder thread:
no reader outlives a call or crosses a process.
"""

import multiprocessing
import multiprocessing.util
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vidmoco.cores import num_cores
from vidmoco.errors import ConfigError, VideoError
from vidmoco.shapes import Float, Float64, Int64, UInt8
from vidmoco.video.catalog import Catalog, VideoInfo
from vidmoco.video.decode import read_frames, resize_frames
from vidmoco.video.sampling import (
    PairRule,
    epoch_order,
    pair_generator,
    replacements,
    sample_pair,
    step_indices,
    steps_per_epoch,
)

MAX_WORKERS = 16  # assumption: beyond it the training device, not decoding, is the limit


@dataclass(frozen=True)
class PairBatch:
    """A batch of pairs. Frames fill their canvas; ``aspect_ratios`` undoes the distortion."""

    frames: UInt8[Tensor, "n 2 3 h w"]
    aspect_ratios: Float[Tensor, " n"]  # displayed width / height of each video
    source_ids: Int64[Tensor, " n"]  # row of each video in the catalog
    pts_seconds: Float64[Tensor, "n 2"]  # of the frames, from the first of the video
    failures: list[tuple[int, str]]  # rows of videos that could not be read, and why

    def pin_memory(self) -> "PairBatch":
        """Return the batch in pinned memory (called by ``DataLoader``)."""
        return PairBatch(
            self.frames.pin_memory(),
            self.aspect_ratios.pin_memory(),
            self.source_ids.pin_memory(),
            self.pts_seconds,
            self.failures,
        )


@dataclass(frozen=True)
class _Pair:
    """One item of a batch."""

    frames: UInt8[Tensor, "2 3 h w"]
    row: int
    aspect_ratio: float
    pts_seconds: Float64[np.ndarray, "2"]
    failures: list[tuple[int, str]]


def canvas_size(catalog: Catalog, *, short_side: int) -> tuple[int, int]:
    """Return the (height, width) that all frames are resized to: the shape of the median video.

    A batch needs one size. Frames of another shape are squeezed into it and cropped in their true
    shape later, so a collection of one shape loses nothing. The longer side is at most twice the
    shorter one, which bounds memory.
    """
    aspect = float(np.median([info.aspect_ratio for info in catalog.rows()]))
    aspect = min(max(aspect, 0.5), 2.0)
    if aspect >= 1:
        return short_side, round(short_side * aspect)
    return round(short_side / aspect), short_side


class PairDataset(Dataset[_Pair]):
    """Maps (epoch, index) to a pair of frames. Needs a catalog of readable videos only."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        rule: PairRule,
        seed: int,
        batch_size: int,
        canvas: tuple[int, int],
    ) -> None:
        self.catalog, self.rule, self.seed = catalog, rule, seed
        self.batch_size, self.canvas = batch_size, canvas
        self._order: tuple[int, Int64[np.ndarray, " n"]] | None = None

    def __getitem__(self, key: tuple[int, int]) -> _Pair:
        """Return the pair of (epoch, index), from the first replacement that can be read.

        Raises:
            VideoError: none of the replacements can be read either.
        """
        epoch, index = key
        failures: list[tuple[int, str]] = []
        stand_ins = replacements(
            index=index, num_videos=len(self.catalog), batch_size=self.batch_size
        )
        for attempt, candidate in enumerate([index, *stand_ins]):
            row = int(self._rows(epoch)[candidate])
            generator = pair_generator(seed=self.seed, epoch=epoch, index=index, attempt=attempt)
            try:
                return self._read(row, generator, failures)
            except VideoError as error:
                failures.append((row, str(error)))
        raise VideoError(
            f"None of {len(failures)} videos tried for one pair could be read. The last: "
            f"{failures[-1][1]}"
        )

    def _rows(self, epoch: int) -> Int64[np.ndarray, " n"]:
        if self._order is None or self._order[0] != epoch:
            order = epoch_order(seed=self.seed, epoch=epoch, num_videos=len(self.catalog))
            self._order = (epoch, order)
        return self._order[1]

    def _read(
        self, row: int, generator: np.random.Generator, failures: list[tuple[int, str]]
    ) -> _Pair:
        video: VideoInfo = self.catalog[row]
        times = sample_pair(generator, duration=video.duration_seconds, rule=self.rule)
        frames = read_frames(video, times)
        height, width = self.canvas
        pixels = resize_frames(frames.images, height=height, width=width)
        return _Pair(pixels, row, video.aspect_ratio, frames.pts_seconds, failures)


class _Batches(Sampler[list[tuple[int, int]]]):
    """The (epoch, index) of every pair of every batch, from ``start`` to ``stop``."""

    def __init__(self, *, start: int, stop: int, num_videos: int, batch_size: int) -> None:
        self.start, self.stop = start, stop
        self.num_videos, self.batch_size = num_videos, batch_size

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.stop):
            epoch, indices = step_indices(
                step=step, num_videos=self.num_videos, batch_size=self.batch_size
            )
            yield [(epoch, index) for index in indices]


def _collate(pairs: list[_Pair]) -> PairBatch:
    return PairBatch(
        torch.stack([pair.frames for pair in pairs]),
        torch.tensor([pair.aspect_ratio for pair in pairs], dtype=torch.float32),
        torch.tensor([pair.row for pair in pairs]),
        torch.from_numpy(np.stack([pair.pts_seconds for pair in pairs])),
        [failure for pair in pairs for failure in pair.failures],
    )


def default_workers() -> int:
    """Return the number of worker processes when none is asked for: one a core, at most 16."""
    return min(num_cores(), MAX_WORKERS)


def _start_worker(_number: int) -> None:
    torch.set_num_threads(1)  # a worker a core; more threads than that get in each other's way
    # Skip the interpreter's own end: a worker of a run that stopped early aborted there once, in
    # native threads. This comes last of all that multiprocessing does at the end of a process.
    multiprocessing.util.Finalize(None, os._exit, args=(0,), exitpriority=-100)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training alone


def load_pairs(
    catalog: Catalog,
    *,
    rule: PairRule,
    seed: int,
    batch_size: int,
    canvas: tuple[int, int],
    start_step: int,
    total_steps: int,
    workers: int,
    pin_memory: bool = False,
) -> Iterator[PairBatch]:
    """Yield the batches of steps ``start_step`` to ``total_steps`` of a run.

    Raises:
        ConfigError: the batch is larger than the number of readable videos.
    """
    num_videos = len(catalog)
    if steps_per_epoch(num_videos=num_videos, batch_size=batch_size) == 0:
        raise ConfigError(
            f"--data.batch-size is {batch_size}, and there are {num_videos} readable videos; a "
            "batch "
            f"takes each video once. Give --data.batch-size {max(num_videos, 2)} or less, or "
            "more videos."
        )
    dataset = PairDataset(catalog, rule=rule, seed=seed, batch_size=batch_size, canvas=canvas)
    batches = _Batches(
        start=start_step, stop=total_steps, num_videos=num_videos, batch_size=batch_size
    )
    workers = min(workers, len(batches))
    batches_of_run = DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        multiprocessing_context=multiprocessing.get_context("spawn") if workers else None,
    )
    try:
        yield from batches_of_run
    except VideoError as error:  # from a worker it comes with the worker's traceback as its text
        raise VideoError(str(error).strip().rpartition("VideoError: ")[2]) from None
