"""What a process of ``prepare`` does: write a video's frames as JPEG files to a piece of a tar."""

import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from vidmoco.atomic_file import unwritable
from vidmoco.config.frame_selection import TOLERANCE
from vidmoco.config.limits import Limits
from vidmoco.errors import VideoError
from vidmoco.frames import jpeg
from vidmoco.frames.selection import Selection, select_frames
from vidmoco.shapes import UInt8
from vidmoco.video.decode import read_frames
from vidmoco.video.forward_reader import ForwardReader, frames_forward, reads_forward
from vidmoco.video.frames import TimedPicture
from vidmoco.video.info import VideoInfo
from vidmoco.video.resize import resize_frames
from vidmoco.video.sequential_reader import iter_frames
from vidmoco.workers.process import cpu_seconds

PAIRS_TIMED = 4  # the default of --data.pairs-per-visit
ADVICE = ", and give the same command again: it continues from here."
"""What to do when frames cannot be written, after "Make room there"."""
TAR_BLOCK = 512  # headers and files begin at multiples (POSIX.1-1988)


@dataclass(frozen=True, kw_only=True)
class FrameSettings:
    """The settings of a prepared folder: which frames are kept, and in which form."""

    fps: float | None
    """Keep the frames shown at 0, 1/fps, 2/fps, … seconds, each once. None means all frames."""
    short_side: int
    """Maximum short side in pixels. Smaller frames are not enlarged."""
    quality: int
    """Quality of the JPEG files, 1 to 100."""
    selection: Selection
    """Which of these frames are dropped."""


@dataclass(frozen=True)
class PrepareJob:
    """A video, its name in the folder, and the file that its frames are written to."""

    video: VideoInfo
    name: str
    piece: Path
    time_visit: bool = False
    """Also measure the cost of a visit to the video, which prepared frames save."""


@dataclass
class PreparedVideo:
    """The frames of a video in its piece. Each list has one item per frame."""

    pts_seconds: list[float] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    """First byte of the JPEG file in the piece."""
    lengths: list[int] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    """CRC-32 of the JPEG file."""
    num_bytes: int = 0
    """Size of the piece."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Numbers of dropped frames by reason."""
    damage: str = ""
    """One line about the frames that could not be decoded."""
    visit_seconds: float = 0.0
    """CPU time of a visit of ``PAIRS_TIMED`` pairs, or 0 if it was not measured."""
    cannot_write: str = ""
    """Why the piece could not be written (such as a full disk), and what to do."""


def write_frames(job: PrepareJob, settings: FrameSettings, limits: Limits) -> PreparedVideo:
    """Write the frames of a video to the file ``job.piece``, in display order.

    Raises:
        VideoError: no frame of the video can be read.
    """
    fast = reads_forward(job.video) and settings.fps is not None
    for forward in (True, False) if fast else (False,):
        prepared = PreparedVideo()
        damage: list[str] = []
        if forward:
            frames = _frames_at_rate(job.video, settings.fps or 1.0, limits)
        else:
            frames = iter_frames(job.video, fps=settings.fps, limits=limits, damage=damage)
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
            continue  # the exact reader leaves out damaged frames, and reports them
        except OSError as error:
            prepared.cannot_write = str(unwritable(error, job.piece.parent, advice=ADVICE))
        prepared.damage = "; ".join(damage)
        if job.time_visit:
            prepared.visit_seconds = _time_visit(job.video, settings.short_side, limits)
        return prepared
    raise AssertionError("the exact reader returns or raises")


def _time_visit(video: VideoInfo, short_side: int, limits: Limits) -> float:
    """Return the CPU time of a visit in seconds, or 0 if the visit fails."""
    times = np.random.default_rng(0).uniform(0, video.duration_seconds, 2 * PAIRS_TIMED)
    began = cpu_seconds()
    try:
        frames = read_frames(video, times.tolist(), limits=limits, fast=ForwardReader(limits))
    except VideoError:
        return 0.0
    for _ in _resized(zip(frames.pts_seconds, frames.images, strict=True), short_side):
        pass
    return cpu_seconds() - began


def _frames_at_rate(video: VideoInfo, fps: float, limits: Limits) -> Iterator[TimedPicture]:
    """Yield the frames shown at 0, 1/fps, 2/fps, … seconds, each once."""
    count = int(np.ceil(video.duration_seconds * fps - TOLERANCE))  # as in ``take_at_rate``
    last = -1.0
    times = (np.arange(max(count, 1)) / fps + TOLERANCE).tolist()
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
    """Return the function with which a process of ``prepare`` does a job."""
    torch.set_num_threads(1)  # there is one process per core
    return lambda job: write_frames(job, settings, limits)
