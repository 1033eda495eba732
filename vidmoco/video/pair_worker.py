"""What a decoding process does: the frames of a moment, resized, into memory that it shares."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vidmoco.shapes import UInt8
from vidmoco.video.decode import read_frames, resize_frames
from vidmoco.video.frames import FastReader
from vidmoco.video.info import VideoInfo
from vidmoco.video.limits import Limits
from vidmoco.video.shared_buffer import SharedBuffer


@dataclass(frozen=True)
class PairJob:
    """Frames to read, and the place in the shared memory that they go to."""

    slot: int
    video: VideoInfo
    times: tuple[float, float]


Pts = tuple[float, float]


def slots_of(buffer: SharedBuffer, canvas: tuple[int, int]) -> UInt8[Tensor, "slots 2 3 h w"]:
    """Return shared memory as the places of pairs of frames of a size (height, width)."""
    pixels = torch.frombuffer(buffer.memory, dtype=torch.uint8)
    return pixels.view(-1, 2, 3, *canvas)


def build_pair_worker(
    buffer: SharedBuffer, canvas: tuple[int, int], limits: Limits, use_decord: bool
) -> Callable[[PairJob], Pts]:
    """Return what a worker process does with a job: it returns the times of the frames."""
    torch.set_num_threads(1)  # a worker a core; more threads than that get in each other's way
    decord = None
    if use_decord:
        from vidmoco.video.decord_reader import DecordReader

        decord = DecordReader()
    slots = slots_of(buffer, canvas)
    return lambda job: read_pair(job, slots, limits, decord=decord)


def read_pair(
    job: PairJob,
    slots: UInt8[Tensor, "slots 2 3 h w"],
    limits: Limits,
    *,
    decord: FastReader | None = None,
) -> Pts:
    """Put the frames of a job into its slot and return when they begin to be shown, in seconds.

    Raises:
        VideoError: they cannot be read.
    """
    frames = read_frames(job.video, job.times, limits=limits, decord=decord)
    slots[job.slot] = resize_frames(frames.images, height=slots.shape[-2], width=slots.shape[-1])
    first, second = frames.pts_seconds.tolist()
    return first, second
