"""What a process of ``prepare`` does: the frames of a video, as JPEG files, as a piece of tar."""

import tarfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from vidmoco.atomic_file import unwritable
from vidmoco.config.limits import Limits
from vidmoco.errors import VideoError
from vidmoco.frames import jpeg
from vidmoco.frames.selection import Selection, select_frames
from vidmoco.shapes import UInt8
from vidmoco.video.decode import read_frames, resize_frames
from vidmoco.video.forward_reader import ForwardReader, frames_forward, reads_forward
from vidmoco.video.frames import TimedPicture
from vidmoco.video.info import VideoInfo
from vidmoco.video.sequential_reader import iter_frames

PAIRS_TIMED = 4  # the default of --data.pairs-per-visit
ADVICE = ", and give the same command again: it goes on from here."
"""What to do when frames cannot be written, after "Make room there"."""
TAR_BLOCK = 512  # of POSIX.1-1988: headers and files begin at multiples


@dataclass(frozen=True, kw_only=True)
class FrameSettings:
    """Which frames of a video are kept, and how. A prepared folder has one of these."""

    fps: float | None
    """Frames shown at 0, 1/fps, 2/fps … seconds, each once; None: all."""
    short_side: int
    """Greatest short side in pixels; smaller frames stay as they are."""
    quality: int
    """Of the JPEG files, 1 to 100."""
    selection: Selection
    """Which of these frames are left out."""


@dataclass(frozen=True)
class PrepareJob:
    """A video, its name in the folder, and the file that its frames are written to."""

    video: VideoInfo
    name: str
    piece: Path
    time_visit: bool = False
    """Measure, too, what a visit of the video costs, which prepared frames save."""


@dataclass
class PreparedVideo:
    """The frames of a video in its piece: one number each in all lists."""

    pts_seconds: list[float] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    """Where the JPEG file begins, in bytes from the start of the piece."""
    lengths: list[int] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    """CRC-32 of the JPEG file."""
    num_bytes: int = 0
    """Of the piece."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Frames that were left out, by reason."""
    damage: str = ""
    """What could not be decoded, in a line."""
    visit_seconds: float = 0.0
    """CPU time of a visit of ``PAIRS_TIMED`` pairs; 0: not measured."""
    cannot_write: str = ""
    """Why the piece could not be written, and what to do: the disk is full, say."""


def write_frames(job: PrepareJob, settings: FrameSettings, limits: Limits) -> PreparedVideo:
    """Write the frames of a video, in the order of showing, to the file ``job.piece``.

    Raises:
        VideoError: no frame of it can be read.
    """
    fast = reads_forward(job.video) and settings.fps is not None
    for forward in (True, False) if fast else (False,):
        prepared = PreparedVideo()
        damage: list[str] = []
        if forward:
            frames = _frames_at_rate(job.video, settings.fps or 1.0, limits)
        else:
            frames = iter_frames(
                job.video, fps=settings.fps, limits=limits, on_damage=damage.append
            )
        try:
            with job.piece.open("wb") as file:
                for seconds, picture in select_frames(
                    _resized(frames, settings.short_side), settings.selection, prepared.dropped
                ):
                    _write_frame(file, job.name, seconds, picture, settings.quality, prepared)
                prepared.num_bytes = file.tell()
        except VideoError:
            if not forward:
                raise
            continue  # the exact reader leaves out what is damaged, and says what
        except OSError as error:
            prepared.cannot_write = str(unwritable(error, job.piece.parent, advice=ADVICE))
        prepared.damage = "; ".join(damage)
        if job.time_visit:
            prepared.visit_seconds = _time_visit(job.video, settings.short_side, limits)
        return prepared
    raise AssertionError("the last way returns or raises")


def _time_visit(video: VideoInfo, short_side: int, limits: Limits) -> float:
    """Return the CPU time of a visit, in seconds; 0 where one fails."""
    times = np.random.default_rng(0).uniform(0, video.duration_seconds, 2 * PAIRS_TIMED)
    began = time.process_time()
    try:
        frames = read_frames(video, times.tolist(), limits=limits, fast=ForwardReader(limits))
    except VideoError:
        return 0.0
    for _ in _resized(zip(frames.pts_seconds, frames.images, strict=True), short_side):
        pass
    return time.process_time() - began


def _frames_at_rate(video: VideoInfo, fps: float, limits: Limits) -> Iterator[TimedPicture]:
    """Yield the frames shown at 0, 1/fps, 2/fps … seconds, each once."""
    count = int(np.ceil(video.duration_seconds * fps - 1e-6))  # as ``take_at_rate``
    last = -1.0
    times = (np.arange(max(count, 1)) / fps + 1e-6).tolist()
    for seconds, picture in frames_forward(video, times, limits=limits):
        if seconds > last:
            last = seconds
            yield seconds, picture


def _resized(
    frames: Iterable[TimedPicture], short_side: int
) -> Iterator[tuple[float, UInt8[Tensor, "3 h w"]]]:
    for seconds, picture in frames:
        height, width = picture.shape[:2]
        scale = min(1.0, short_side / min(height, width))
        size = {"height": max(1, round(height * scale)), "width": max(1, round(width * scale))}
        yield seconds, resize_frames(picture[None], **size)[0]


def _write_frame(
    file: BinaryIO,
    name: str,
    seconds: float,
    picture: UInt8[Tensor, "3 h w"],
    quality: int,
    prepared: PreparedVideo,
) -> None:
    data = jpeg.encode(picture, quality=quality)
    member = tarfile.TarInfo(f"{name}/{len(prepared.offsets):06d}.jpg")
    member.size = len(data)
    file.write(member.tobuf(tarfile.PAX_FORMAT))
    prepared.pts_seconds.append(seconds)
    prepared.offsets.append(file.tell())
    prepared.lengths.append(len(data))
    prepared.checksums.append(zlib.crc32(data))
    file.write(data)
    file.write(bytes(-len(data) % TAR_BLOCK))


def build_frame_writer(
    settings: FrameSettings, limits: Limits
) -> Callable[[PrepareJob], PreparedVideo]:
    """Return what a process of ``prepare`` does with a job."""
    torch.set_num_threads(1)  # a process a core
    return lambda job: write_frames(job, settings, limits)
