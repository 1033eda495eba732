"""Frames at chosen times of chosen videos, as inputs of a backbone; once, and not for training.

They are read by what reads the pairs of a training: processes that a video may kill, or threads
where frames are prepared. What cannot be read is said, and has no stand-in.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange

from vidmoco.backbones.preprocess import Preprocess, resize_and_crop
from vidmoco.config.limits import Limits
from vidmoco.data.loader import settled
from vidmoco.data.prepared_loader import StoredFrames
from vidmoco.data.sampling import Moment
from vidmoco.errors import VideoError
from vidmoco.shapes import Float64, UInt8
from vidmoco.video.catalog import Catalog
from vidmoco.video.decode import read_frames
from vidmoco.video.frames import FastReader
from vidmoco.video.info import VideoInfo
from vidmoco.video.readers import Decoder, build_fast_reader
from vidmoco.workers.pool import WorkerPool
from vidmoco.workers.process import describe


@dataclass(frozen=True)
class MomentFrames:
    """Frames of one video, at the times of a moment and in their order."""

    images: UInt8[np.ndarray, "t 3 s s"]
    """As ``resize_and_crop`` makes them. An array: a pipe takes no tensor without shared memory."""
    pts_seconds: Float64[np.ndarray, " t"]
    """When each began to be shown, from the first shown frame of the video."""


@dataclass(frozen=True)
class _Job:
    number: int
    video: VideoInfo
    times: tuple[float, ...]


def read_moments(
    catalog: Catalog,
    moments: Sequence[Moment],
    *,
    preprocess: Preprocess,
    workers: int,
    limits: Limits,
    decoder: Decoder = "auto",
) -> list[MomentFrames | str]:
    """Return the frames of each moment, or why they cannot be read.

    Args:
        catalog: readable videos.
        moments: times of its rows, in any order.
        preprocess: of the backbone.
        workers: processes; 0: this one decodes, by PyAV alone, with nothing to protect it.
        limits: what a video may be and cost.
        decoder: what reads which video (``build_fast_reader``).
    """
    jobs = [_Job(n, catalog[moment.row], moment.times) for n, moment in enumerate(moments)]
    if workers == 0:
        return [_read_here(job, preprocess, limits) for job in jobs]
    pool = WorkerPool[_Job, MomentFrames](
        _build_reader,
        (preprocess, limits, settled(decoder, catalog)),
        workers=workers,
        max_memory=limits.max_memory,
        max_seconds=limits.seconds_of_silence,
        with_torch=True,
    )
    found: dict[int, MomentFrames | str] = {}
    with pool:
        for report in pool.map(jobs):
            found[report.job.number] = report.failure if report.value is None else report.value
    return [found[job.number] for job in jobs]


def read_stored_moments(
    frames: StoredFrames, moments: Sequence[Moment], *, preprocess: Preprocess, workers: int
) -> list[MomentFrames | str]:
    """Return the prepared frames of each moment, or why they cannot be read, by threads."""

    def read(moment: Moment) -> MomentFrames | str:
        shown = [frames.frame_at(moment.row, time) for time in moment.times]
        images = []
        try:
            for frame in shown:
                picture = frames.read(frame)
                aspect_ratio = frames.aspect_ratio(moment.row, picture)
                images.append(resize_and_crop(picture, preprocess, aspect_ratio=aspect_ratio))
        except (VideoError, RuntimeError) as error:  # RuntimeError: libjpeg's
            return str(error)
        return MomentFrames(torch.stack(images).numpy(), frames.pts_seconds[shown])

    with ThreadPoolExecutor(max(workers, 1), thread_name_prefix="read frames") as threads:
        return list(threads.map(read, moments))


def _build_reader(
    preprocess: Preprocess, limits: Limits, decoder: Decoder
) -> Callable[[_Job], MomentFrames]:
    """Return what a worker process does with a job."""
    torch.set_num_threads(1)  # a worker a core
    fast = build_fast_reader(decoder, limits)
    return lambda job: _read(job, preprocess, limits, fast)


def _read(
    job: _Job, preprocess: Preprocess, limits: Limits, fast: FastReader | None = None
) -> MomentFrames:
    frames = read_frames(job.video, job.times, limits=limits, fast=fast)
    aspect_ratio = job.video.aspect_ratio if job.video.sample_aspect_ratio != 1 else None
    pictures = rearrange(torch.from_numpy(frames.images), "t h w c -> t c h w")
    images = resize_and_crop(pictures, preprocess, aspect_ratio=aspect_ratio)
    return MomentFrames(images.numpy(), frames.pts_seconds)


def _read_here(job: _Job, preprocess: Preprocess, limits: Limits) -> MomentFrames | str:
    try:
        return _read(job, preprocess, limits)
    except Exception as error:  # as in a worker: whatever a file does, others are read
        return describe(error)
