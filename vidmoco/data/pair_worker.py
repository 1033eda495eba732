"""The work of a decoding process: read the frames of a visit, resize them into shared memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidmoco.config.limits import Limits
from vidmoco.errors import VideoError
from vidmoco.shapes import UInt8
from vidmoco.video.decode import read_frames
from vidmoco.video.frames import FastReader
from vidmoco.video.info import VideoInfo
from vidmoco.video.readers import Decoder, build_fast_reader
from vidmoco.video.resize import resize_frames
from vidmoco.workers.shared_buffer import SharedBuffer

# Bytes of full-size frames that are held at once, or one pair if that is more.
_BYTES_AT_ONCE = 2**27


@dataclass(frozen=True)
class PairSlot:
    """The times of a pair's frames, in seconds, and its slot in shared memory."""

    slot: int
    times: tuple[float, ...]


@dataclass(frozen=True)
class VisitJob:
    """Pairs that are read from one video."""

    number: int
    video: VideoInfo
    pairs: tuple[PairSlot, ...]


Pts = tuple[float, ...]
Results = list[Pts | str]
"""For each pair of a visit, the times at which its frames begin, or why they cannot be read."""


def bytes_of_slot(num_frames: int, canvas: tuple[int, int]) -> int:
    """Return the memory that the frames of a pair take, of a size (height, width)."""
    return num_frames * 3 * canvas[0] * canvas[1]


def slots_of(
    buffer: SharedBuffer, num_frames: int, canvas: tuple[int, int]
) -> UInt8[Tensor, "slots f 3 h w"]:
    """Return shared memory as the places of the pairs, ``num_frames`` in each."""
    pixels = torch.frombuffer(buffer.memory, dtype=torch.uint8)
    return pixels.view(-1, num_frames, 3, *canvas)


def build_pair_worker(
    buffer: SharedBuffer,
    num_frames: int,
    canvas: tuple[int, int],
    limits: Limits,
    decoder: Decoder,
) -> Callable[[VisitJob], Results]:
    """Return what a worker process does with a job."""
    torch.set_num_threads(1)  # a worker a core; more threads than that get in each other's way
    fast = build_fast_reader(decoder, limits)
    slots = slots_of(buffer, num_frames, canvas)
    return lambda job: read_visit(job, slots, limits, fast=fast)


def read_visit(
    job: VisitJob,
    slots: UInt8[Tensor, "slots f 3 h w"],
    limits: Limits,
    *,
    fast: FastReader | None = None,
) -> Results:
    """Read the frames of a job into their slots, and return the times at which they begin.

    The video is opened once for all pairs. If they cannot all be read, each pair is read alone, so
    that the result of a pair does not depend on the others.
    """
    try:
        return _read_pairs(job.video, job.pairs, slots, limits, fast)
    except VideoError as error:
        if len(job.pairs) == 1:
            return [str(error)]
    results: Results = []
    for pair in job.pairs:
        alone = VisitJob(job.number, job.video, (pair,))
        results += read_visit(alone, slots, limits, fast=fast)
    return results


def _read_pairs(
    video: VideoInfo,
    pairs: tuple[PairSlot, ...],
    slots: UInt8[Tensor, "slots f 3 h w"],
    limits: Limits,
    fast: FastReader | None,
) -> Results:
    times, positions = np.unique([pair.times for pair in pairs], return_inverse=True)
    positions = positions.reshape(len(pairs), -1)
    pts_seconds = np.zeros(len(times))
    at_once = max(2, _BYTES_AT_ONCE // max(1, 3 * video.width * video.height))
    for start in range(0, len(times), at_once):
        frames = read_frames(
            video, times[start : start + at_once].tolist(), limits=limits, fast=fast
        )
        pts_seconds[start : start + at_once] = frames.pts_seconds
        resized = resize_frames(frames.images, height=slots.shape[-2], width=slots.shape[-1])
        planes, into = resized.numpy(), slots.numpy()
        for pair, wanted in zip(pairs, positions, strict=True):
            for view, position in enumerate(wanted - start):
                if 0 <= position < len(planes):
                    # From pixels side by side to planes: measured twice as fast as torch's copy.
                    np.copyto(into[pair.slot, view], planes[position])
    return [tuple(pts) for pts in pts_seconds[positions].tolist()]
