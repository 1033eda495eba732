"""Frames of videos as batches of a backbone's inputs, made in processes that a video may kill.

    process   decode ─▶ RGB ─▶ resize and crop ─▶ a slot of shared memory; (slot, times) by pipe
    caller    slot ─▶ device ─▶ backbone, and the slot is free again

Each video that is being read has a ring of slots, which bounds both memory and how far a process
runs ahead. There is a ring more than there are processes, so the next video's first batches are
made while the last ones of this video are used.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from vidmoco.backbones.preprocess import Preprocess, resize_and_crop
from vidmoco.config.frame_selection import FrameSelection
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.errors import VideoError
from vidmoco.shapes import Float64, Int64, UInt8
from vidmoco.video.frame_numbers import FrameNumbers
from vidmoco.video.frames import UNKNOWN
from vidmoco.video.info import VideoInfo
from vidmoco.video.selected_frames import select_frames
from vidmoco.workers.pool import Report, WorkerPool
from vidmoco.workers.process import still_alive
from vidmoco.workers.shared_buffer import SharedBuffer

SLOTS = 3  # of a ring: one is used, one is full, one is being filled
_COUNTER_BYTES = 8
# Pictures of full size that wait for the thread that resizes. assumption: evens out key frames.
_PICTURES_AHEAD = 4
# Seconds. A look takes microseconds, and a batch of one frame more than this on a CPU.
_BETWEEN_LOOKS = 0.002
_BETWEEN_SIGNS_OF_LIFE = 0.1
Shots = list[tuple[float, float]]


@dataclass(frozen=True)
class FrameBatch:
    """Some frames of a video in order, as ``resize_and_crop`` makes them."""

    times: Float64[np.ndarray, " t"]
    """Seconds from the first shown frame."""
    numbers: Int64[np.ndarray, " t"]
    """Of the frames in display order, from 0 on, where the reader gives them."""
    images: UInt8[Tensor, "t 3 s s"]
    """In memory that is used again as soon as the next batch is asked for."""


@dataclass(frozen=True)
class BatchedVideo:
    """A video and its batches, which are yet to come."""

    video: VideoInfo
    batches: Iterator[FrameBatch]
    """Raises ``VideoError`` where no frame can be read, or the decoder hangs or crashes."""
    damage: list[str] = field(default_factory=list)
    """After the last batch: a line, if damaged frames were left out."""
    shots: Shots = field(default_factory=list)
    """After the first batch, with ``scenes="all"``: when each shot begins and ends, in seconds."""


@dataclass(frozen=True)
class _Job:
    number: int
    video: VideoInfo
    selection: FrameSelection
    ring: int
    numbered: bool


@dataclass(frozen=True)
class _Filled:
    slot: int
    times: Float64[np.ndarray, " t"]
    numbers: Int64[np.ndarray, " t"]


_Part = _Filled | Shots | str  # str: what is damaged


@dataclass(frozen=True)
class _Rings:
    """Shared memory: how many slots of each ring the caller has done with, and the slots."""

    buffer: SharedBuffer
    number: int
    batch_size: int
    size: int

    def used(self) -> np.ndarray:
        """Return int64 (rings,): the batches of the ring's video that the caller has used."""
        return np.frombuffer(self.buffer.memory, np.int64, self.number)

    def slots(self) -> UInt8[Tensor, "rings slots t 3 s s"]:
        pixels = torch.frombuffer(
            self.buffer.memory, dtype=torch.uint8, offset=_COUNTER_BYTES * self.number
        )
        return pixels.view(self.number, SLOTS, self.batch_size, 3, self.size, self.size)


class BatchReader:
    """Reads videos from the start to the end, in processes of its own.

    Args:
        preprocess: gives the size and crop of the inputs.
        batch_size: frames of a batch, 1 or more; the last one of a video may have fewer.
        limits: what a video may be.
        workers: videos that are decoded at the same time, 1 or more.
        numbered: batches have the numbers of all frames, also of those that are read by seeking.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        *,
        batch_size: int,
        limits: Limits = DEFAULT_LIMITS,
        workers: int = 1,
        numbered: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"{batch_size = }, expected 1 or more")
        num_rings, self._numbered = workers + 1, numbered
        pixels = num_rings * SLOTS * batch_size * 3 * preprocess.size**2
        buffer = SharedBuffer(_COUNTER_BYTES * num_rings + pixels)
        rings = _Rings(buffer, num_rings, batch_size, preprocess.size)
        self._used, self._slots = rings.used(), rings.slots()
        self._came: defaultdict[int, deque[Report[_Job, _Part]]] = defaultdict(deque)
        self._pool = WorkerPool[_Job, _Part](
            _build_worker,
            (rings, preprocess, limits),
            workers=workers,
            max_memory=limits.max_memory,
            max_seconds=limits.max_seconds,
            with_torch=True,
        )

    def __enter__(self) -> "BatchReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def read(
        self, videos: Iterable[tuple[VideoInfo, FrameSelection]]
    ) -> Generator[BatchedVideo, None, None]:
        """Yield the videos in order, each with its batches; one reading at a time.

        What is not read of a video is dropped when the next one is asked for. A reading that is not
        brought to its end ends the processes; the next reading starts others.

        Args:
            videos: rows of the catalog, and the frames to take of each. They are asked for when a
                ring is free, and not before.
        """
        numbered = enumerate(videos)
        free = deque(range(len(self._slots)))
        given: deque[_Job] = deque()
        self._came.clear()
        try:
            while True:
                while free and (following := next(numbered, None)) is not None:
                    number, (video, selection) = following
                    ring = free.popleft()
                    given.append(_Job(number, video, selection, ring, self._numbered))
                    self._used[given[-1].ring] = 0
                    self._pool.give(given[-1])
                if not given:
                    return
                job, damage, shots = given[0], list[str](), Shots()
                reports = self._reports(job)
                batches = self._batches(job, reports, damage, shots)
                yield BatchedVideo(job.video, batches, damage, shots)
                batches.close()
                for report in reports:
                    self._used[job.ring] += isinstance(report.value, _Filled)
                free.append(given.popleft().ring)
        finally:
            if given:
                self._pool.close()

    def _reports(self, job: _Job) -> Iterator[Report[_Job, _Part]]:
        """Yield what comes of a job; what comes of later ones meanwhile is kept for them."""
        last = False
        while not last:
            while not self._came[job.number]:
                reports = self._pool.wait()
                if not reports:  # no process is left that could say more
                    raise RuntimeError(f"The reading that was to read {job.video.path} has ended.")
                for report in reports:
                    self._came[report.job.number].append(report)
            report = self._came[job.number].popleft()
            last = report.last
            yield report
        del self._came[job.number]

    def _batches(
        self, job: _Job, reports: Iterator[Report[_Job, _Part]], damage: list[str], shots: Shots
    ) -> Generator[FrameBatch, None, None]:
        for report in reports:
            if report.failure:
                place = f"{job.video.path}: "
                raise VideoError(place + report.failure.removeprefix(place).rstrip(".") + ".")
            if isinstance(report.value, str):
                damage.append(report.value)
            elif isinstance(report.value, list):
                shots += report.value
            elif report.value is not None:
                filled = report.value
                images = self._slots[job.ring, filled.slot, : len(filled.times)]
                try:
                    yield FrameBatch(filled.times, filled.numbers, images)
                finally:
                    self._used[job.ring] += 1


def _build_worker(
    rings: _Rings, preprocess: Preprocess, limits: Limits
) -> Callable[[_Job], Iterator[_Part]]:
    """Return what a process does with a video."""
    torch.set_num_threads(1)  # the other cores are the backbone's
    slots, used = rings.slots(), rings.used()
    resizer = ThreadPoolExecutor(1)

    def fill(job: _Job) -> Iterator[_Part]:
        ring = job.ring
        return _fill(job, slots[ring], used[ring : ring + 1], preprocess, limits, resizer)

    return fill


def _fill(
    job: _Job,
    slots: UInt8[Tensor, "slots t 3 s s"],
    used: np.ndarray,
    preprocess: Preprocess,
    limits: Limits,
    resizer: ThreadPoolExecutor,
) -> Iterator[_Part]:
    """Decode a video into slots, one after the other, while another thread resizes."""
    video = job.video
    aspect_ratio = video.aspect_ratio if video.sample_aspect_ratio != 1 else None

    def put(picture: UInt8[np.ndarray, "h w 3"], place: UInt8[Tensor, "3 s s"]) -> None:
        image = rearrange(torch.from_numpy(picture), "h w c -> c h w")
        place.copy_(resize_and_crop(image, preprocess, aspect_ratio=aspect_ratio))

    selected = select_frames(video, job.selection, limits=limits)
    if selected.shots:
        yield selected.shots
    numbers = FrameNumbers(video, limits) if job.numbered else None
    number, times, places = 0, list[float](), list[int]()  # of the batch
    at_work: deque[Future[None]] = deque()
    try:
        for seconds, picture, place in selected.frames:
            if not times:
                _wait_for_slot(number, used)
            while len(at_work) >= _PICTURES_AHEAD:
                at_work.popleft().result()
            at_work.append(resizer.submit(put, picture, slots[number % SLOTS, len(times)]))
            times.append(seconds)
            places.append(numbers.at(seconds) if numbers and place == UNKNOWN else place)
            if len(times) == slots.shape[1]:
                yield _filled(number, times, places, at_work)
                number, times, places = number + 1, [], []
        if times:
            yield _filled(number, times, places, at_work)
    finally:
        wait(at_work)  # after a failure the ring is another video's
    yield from selected.damage


def _filled(
    number: int, times: list[float], places: list[int], at_work: deque[Future[None]]
) -> _Filled:
    while at_work:
        at_work.popleft().result()
    return _Filled(number % SLOTS, np.array(times), np.array(places, np.int64))


def _wait_for_slot(number: int, used: np.ndarray) -> None:
    """Wait until the caller has done with the batch that was in the slot of batch ``number``."""
    told = time.monotonic()
    while number - int(used[0]) >= SLOTS:
        time.sleep(_BETWEEN_LOOKS)
        if time.monotonic() - told > _BETWEEN_SIGNS_OF_LIFE:
            still_alive()
            told = time.monotonic()
