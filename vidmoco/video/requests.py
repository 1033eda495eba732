"""Frames at times of many videos, read in processes that a video may kill.

The frames are converted where they are read, so that only what is wanted of them is sent.
"""

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.errors import VideoError
from vidmoco.shapes import UInt8
from vidmoco.video.decode import read_frames
from vidmoco.video.frames import FastReader
from vidmoco.video.info import VideoInfo
from vidmoco.video.readers import Decoder, build_fast_reader
from vidmoco.workers.pool import WorkerPool
from vidmoco.workers.process import describe

_BYTES_AT_ONCE = 64 * 2**20  # assumption: of whole frames in a process; eight of 4K

_NO_IMAGE = np.zeros(0, np.uint8)

Convert = Callable[[VideoInfo, UInt8[np.ndarray, "t h w 3"]], np.ndarray]
"""Makes what is wanted of displayed RGB frames: an array, a row a frame. Processes get it."""


@dataclass(frozen=True)
class Request:
    """Frames wanted of one video."""

    video: VideoInfo
    times: tuple[float, ...]
    """Seconds from the first shown frame, in any order, with repeats."""


@dataclass(frozen=True)
class Answer:
    """What was read for a request, time by time."""

    images: list[np.ndarray]
    """Converted frames; an empty array where there is none."""
    pts_seconds: list[float]
    """When the showing of each began; NaN where there is none."""
    failures: list[str]
    """Why there is none, without the path of the video; empty where there is one."""

    @property
    def failure(self) -> str:
        """The first failure, or an empty string."""
        return next(filter(None, self.failures), "")


def whole_frames(
    video: VideoInfo, images: UInt8[np.ndarray, "t h w 3"]
) -> UInt8[np.ndarray, "t h w 3"]:
    """Return frames as they are."""
    return images


def read_requests(
    requests: Iterable[Request],
    *,
    convert: Convert = whole_frames,
    workers: int = 1,
    decoder: Decoder = "auto",
    limits: Limits = DEFAULT_LIMITS,
    with_torch: bool = False,
) -> Generator[Answer, None, None]:
    """Yield an answer for each request, in order.

    A damaged frame costs its own time alone. A decoder that hangs or crashes is a failure of the
    times of its video that had not been read.

    Args:
        requests: what to read.
        convert: what is made of the frames.
        workers: processes; with 0 this one decodes, by PyAV alone, with nothing to protect it.
        decoder: what reads which video (``build_fast_reader``).
        limits: what a video may be, and what reading it may cost.
        with_torch: whether ``convert`` needs torch.
    """
    jobs = (_Job(number, request) for number, request in enumerate(requests))
    if workers == 0:
        for job in jobs:
            answer = _Pending(job)
            try:
                for part in _read(job.request, convert, limits, None):
                    answer.add(part)
            except Exception as error:  # as in a worker: whatever a file does, others are read
                answer.fail(describe(error))
            yield answer.answer
        return
    pool = WorkerPool[_Job, _Part](
        _build_reader,
        (convert, decoder, limits, with_torch),
        workers=workers,
        max_memory=limits.max_memory,
        max_seconds=limits.max_seconds,
        with_torch=with_torch,
    )
    pending: dict[int, _Pending] = {}
    done: dict[int, Answer] = {}
    following = 0
    with pool:
        for report in pool.map(jobs):
            answer = pending.setdefault(report.job.number, _Pending(report.job))
            if report.value is not None:
                answer.add(report.value)
            if report.last:
                answer.fail(report.failure)
                done[report.job.number] = pending.pop(report.job.number).answer
            while following in done:
                yield done.pop(following)
                following += 1


@dataclass(frozen=True)
class _Job:
    number: int
    request: Request


@dataclass(frozen=True)
class _Part:
    """Frames of a request from the time ``first``, or why there is none of that time."""

    first: int
    images: list[np.ndarray] = field(default_factory=list)
    pts_seconds: list[float] = field(default_factory=list)
    failure: str = ""


class _Pending:
    """An answer that is not complete yet."""

    def __init__(self, job: _Job) -> None:
        self._path = job.request.video.path
        number = len(job.request.times)
        self.answer = Answer([_NO_IMAGE] * number, [math.nan] * number, [""] * number)

    def add(self, part: _Part) -> None:
        here = slice(part.first, part.first + len(part.images))
        self.answer.images[here], self.answer.pts_seconds[here] = part.images, part.pts_seconds
        if part.failure:
            self.answer.failures[part.first] = self._without_path(part.failure)

    def fail(self, reason: str) -> None:
        """Give the times that have neither a frame nor a failure a reason."""
        for place, pts in enumerate(self.answer.pts_seconds):
            if math.isnan(pts) and not self.answer.failures[place]:
                self.answer.failures[place] = self._without_path(reason)

    def _without_path(self, reason: str) -> str:
        return reason.removeprefix(f"{self._path}: ").rstrip(".") or "it cannot be read"


def _build_reader(
    convert: Convert, decoder: Decoder, limits: Limits, with_torch: bool
) -> Callable[[_Job], Iterator[_Part]]:
    """Return what a worker process does with a job."""
    if with_torch:
        import torch  # here: the others start ten times as fast

        torch.set_num_threads(1)  # a worker a core
    fast = build_fast_reader(decoder, limits)
    return lambda job: _read(job.request, convert, limits, fast)


def _read(
    request: Request, convert: Convert, limits: Limits, fast: FastReader | None
) -> Iterator[_Part]:
    video, times = request.video, request.times

    def attempt(first: int, end: int) -> Iterator[_Part]:
        try:
            frames = read_frames(video, times[first:end], limits=limits, fast=fast)
        except VideoError as error:
            if end - first == 1:
                yield _Part(first, failure=str(error))
                return
            middle = (first + end) // 2
            yield from attempt(first, middle)
            yield from attempt(middle, end)
            return
        yield _Part(first, list(convert(video, frames.images)), frames.pts_seconds.tolist())

    at_once = max(1, _BYTES_AT_ONCE // (3 * video.width * video.height))
    for first in range(0, len(times), at_once):
        yield from attempt(first, min(first + at_once, len(times)))
