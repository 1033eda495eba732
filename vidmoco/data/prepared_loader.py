"""Batches of pairs from stored frames: prepared frames, or images."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from vidmoco.data.batches import PairBatch
from vidmoco.data.order import Batching, BatchOrder, Place
from vidmoco.data.sampling import PairPlan, PairRule
from vidmoco.data.sources import Sources, whole_videos
from vidmoco.errors import VideoError
from vidmoco.shapes import Float64, UInt8
from vidmoco.video.resize import resize_frames

BATCHES_AHEAD = 3  # batches that are read ahead of the training
# Pairs that a thread reads before it hands them over. One by one, two threads took a seventh more
# CPU time (measured: 8, 32 and 64 do as 16).
MOST_AT_ONCE = 16
_SECONDS_TO_LISTEN = 0.5  # between two calls of ``stopped``


@runtime_checkable  # for the type checks of the tests
class StoredFrames(Protocol):
    """Frames with random access: prepared frames, or images."""

    @property
    def durations(self) -> Float64[np.ndarray, " videos"]:
        """The durations of the videos, in seconds."""

    @property
    def pts_seconds(self) -> Float64[np.ndarray, " frames"]:
        """The time of each frame, in seconds from the first frame of its video."""

    def frame_at(self, video: int, seconds: float) -> int:
        """Return the index of the frame that is shown at a time."""

    def read(self, frame: int) -> UInt8[Tensor, "3 h w"]:
        """Return a frame, or raise ``VideoError`` if it cannot be read."""

    def aspect_ratio(self, video: int, picture: UInt8[Tensor, "3 h w"]) -> float:
        """Return the displayed width / height of a video, given one of its frames."""


def load_prepared(
    frames: StoredFrames,
    batching: Batching,
    *,
    rule: PairRule,
    seed: int,
    canvas: tuple[int, int],
    steps: range,
    workers: int,
    sources: Sources | None = None,
    pin_memory: bool = False,
    stopped: Callable[[], bool] = bool,
) -> Generator[PairBatch]:
    """Yield the batches of consecutive steps of a run, as ``load_pairs`` does, but with threads.

    Raises:
        VideoError: a frame and all its replacements cannot be read.
    """
    if sources is None:
        sources = whole_videos(frames.durations)
    plan = PairPlan(BatchOrder(batching, seed=seed), sources, rule=rule, seed=seed)
    positions = batching.positions
    to_begin = iter(steps)
    num_threads = max(workers, 1)
    at_once = min(MOST_AT_ONCE, -(-len(positions) // num_threads))
    under_way: deque[tuple[Tensor, list[Future[list[_Read]]]]] = deque()
    with _threads(num_threads) as (threads, over):
        while True:
            for step in to_begin:
                pixels = torch.empty(
                    (len(positions), rule.frames, 3, *canvas),
                    dtype=torch.uint8,
                    pin_memory=pin_memory,
                )
                read = partial(_read_pairs, frames, plan, pixels, step, over)
                parts = [positions[i : i + at_once] for i in range(0, len(positions), at_once)]
                under_way.append((pixels, [threads.submit(read, part) for part in parts]))
                if len(under_way) > BATCHES_AHEAD:
                    break
            if not under_way:
                return
            pixels, futures = under_way.popleft()
            pairs: list[_Read] = []
            for future in futures:
                while not _is_done(future):
                    if stopped():
                        return
                pairs += future.result()
            ids = [pair.source for pair in pairs]
            yield PairBatch(
                pixels,
                torch.tensor([pair.aspect_ratio for pair in pairs], dtype=torch.float32),
                torch.tensor(ids),
                torch.from_numpy(plan.sources.rows[ids]),
                torch.from_numpy(plan.sources.starts[ids]),
                torch.tensor([pair.pts for pair in pairs], dtype=torch.float64),
                [failure for pair in pairs for failure in pair.failures],
            )


@dataclass(frozen=True)
class _Read:
    """A pair that has been read: its video, its times, and the videos that failed before it."""

    source: int
    aspect_ratio: float
    pts: tuple[float, ...]
    failures: list[tuple[int, str]]


def _read_pairs(
    frames: StoredFrames,
    plan: PairPlan,
    pixels: UInt8[Tensor, "n f 3 h w"],
    step: int,
    over: threading.Event,
    positions: range,
) -> list[_Read]:
    """Read pairs of a batch; the rest is left out once nobody waits for them."""
    return [
        _read_pair(frames, plan, pixels, Place(step, position))
        for position in positions
        if not over.is_set()
    ]


def _read_pair(
    frames: StoredFrames, plan: PairPlan, pixels: UInt8[Tensor, "n f 3 h w"], place: Place
) -> _Read:
    failures: list[tuple[int, str]] = []
    pts_seconds = frames.pts_seconds
    height, width = pixels.shape[-2:]
    # NumPy copies with one thread. torch would use several, and wait for them on busy cores.
    into = pixels.numpy()[place.position - plan.order.batching.positions.start]
    for moment in plan.moments(place):
        shown = [frames.frame_at(moment.row, time) for time in moment.times]
        try:
            for view, frame in enumerate(shown):
                if (earlier := shown.index(frame)) < view:
                    into[view] = into[earlier]
                else:
                    picture = frames.read(frame)
                    into[view] = _on_canvas(picture, height=height, width=width).numpy()
        except (VideoError, RuntimeError) as error:  # RuntimeError comes from libjpeg
            failures.append((moment.row, str(error)))
            continue
        aspect_ratio = frames.aspect_ratio(moment.row, picture)
        return _Read(moment.source, aspect_ratio, tuple(pts_seconds[shown].tolist()), failures)
    raise VideoError(
        f"None of the {len(failures)} videos tried for one pair could be read. The last error: "
        f"{failures[-1][1]}"
    )


def _on_canvas(
    picture: UInt8[Tensor, "3 _ _"], *, height: int, width: int
) -> UInt8[Tensor, "3 {height} {width}"]:
    if picture.shape[-2:] == (height, width):
        return picture
    return resize_frames(picture.permute(1, 2, 0)[None].numpy(), height=height, width=width)[0]


def _is_done(future: "Future[list[_Read]]") -> bool:
    try:
        future.exception(timeout=_SECONDS_TO_LISTEN)
    except TimeoutError:
        return False
    return True


@contextmanager
def _threads(count: int) -> Iterator[tuple[ThreadPoolExecutor, threading.Event]]:
    """Yield a pool of threads, and an event that is set on exit, where work is cancelled."""
    pool, over = ThreadPoolExecutor(count, thread_name_prefix="read frames"), threading.Event()
    try:
        yield pool, over
    finally:
        over.set()
        pool.shutdown(wait=True, cancel_futures=True)
