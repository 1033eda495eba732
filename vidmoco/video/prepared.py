"""Prepared frames: any frame of any video, by a read of a few kilobytes and a JPEG decode.

What reads them reads other frames too that are at hand at once (``Frames``): single images.
"""

import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from vidmoco.errors import ConfigError, VideoError
from vidmoco.shapes import Float32, Float64, UInt8
from vidmoco.video import jpeg
from vidmoco.video.batches import PairBatch
from vidmoco.video.decode import resize_frames
from vidmoco.video.frame_index import FRAME_COLUMNS, VideoRow, shard_name
from vidmoco.video.frame_store import Store, harmed_shards, open_index
from vidmoco.video.order import Batching, BatchOrder, Place
from vidmoco.video.sampling import PairPlan, PairRule

BATCHES_AHEAD = 3  # that are read while one is trained on
_SECONDS_TO_LISTEN = 0.5  # between two questions whether to stop


@runtime_checkable  # for the type checks of the tests
class Frames(Protocol):
    """Any frame of any video, at once."""

    @property
    def durations(self) -> Float64[np.ndarray, " videos"]:
        """The durations of the videos, in seconds."""

    @property
    def pts_seconds(self) -> Float64[np.ndarray, " frames"]:
        """When each frame begins to be shown, in seconds from the first of its video."""

    def frame_at(self, video: int, seconds: float) -> int:
        """Return the frame that is shown at a time."""

    def read(self, frame: int) -> UInt8[Tensor, "3 h w"]:
        """Return a frame; ``VideoError`` if it cannot be read."""

    def aspect_ratio(self, video: int, picture: UInt8[Tensor, "3 h w"]) -> float:
        """Return the displayed width / height of a video, of which there is a frame."""


@dataclass(frozen=True)
class PreparedFrames:
    """The frames of a prepared folder, and where each lies. Videos without frames are left out."""

    store: Store
    key: dict[str, Any]
    videos: list[VideoRow]
    firsts: np.ndarray
    """The first frame of each video, and one more."""
    columns: dict[str, np.ndarray]

    @property
    def pts_seconds(self) -> Float64[np.ndarray, " frames"]:
        """When each frame begins to be shown, in seconds from the first of its video."""
        return self.columns["pts_seconds"]

    def aspect_ratio(self, video: int, picture: UInt8[Tensor, "3 h w"]) -> float:
        """Return the displayed width / height of a video."""
        return self.videos[video].aspect_ratio

    @property
    def durations(self) -> Float64[np.ndarray, " n"]:
        """The durations of the videos, in seconds."""
        return np.array([video.duration_seconds for video in self.videos], dtype=np.float64)

    @property
    def aspect_ratios(self) -> Float32[np.ndarray, " n"]:
        """The displayed width / height of the videos."""
        return np.array([video.aspect_ratio for video in self.videos], dtype=np.float32)

    def frame_at(self, video: int, seconds: float) -> int:
        """Return the frame that is shown at a time: the last that began at or before it."""
        first, end = self.firsts[video], self.firsts[video + 1]
        begun = np.searchsorted(self.columns["pts_seconds"][first:end], seconds, side="right")
        return int(first + max(begun - 1, 0))

    def read(self, frame: int) -> UInt8[Tensor, "3 h w"]:
        """Return a frame.

        Raises:
            VideoError: its bytes are not those that were written.
        """
        shard, offset, length = (int(self.columns[n][frame]) for n in ("shard", "offset", "length"))
        try:
            data = self.store.read(shard, offset, length)
        except OSError as error:
            raise VideoError(f"{self.store.where}/{shard_name(shard)}: {error}") from error
        if zlib.crc32(data) != self.columns["crc32"][frame]:
            raise VideoError(
                f"{self.store.where}/{shard_name(shard)} is damaged at byte {offset:,}"
            )
        return jpeg.decode(data)


def open_prepared(source: Path) -> PreparedFrames:
    """Open a prepared folder, and look whether all its shards are there.

    Raises:
        ConfigError: something of it is missing, damaged, or of another version.
    """
    store = Store(source)
    index = open_index(source, store)
    store.check_parts()
    for shard, state in harmed_shards(store, index).items():
        raise ConfigError(
            f"{store.where}/{shard_name(shard)} {state}. Bring it back, or give the same `vidmoco "
            "prepare` again: it prepares its videos anew."
        )
    counts = [video.num_frames for video in index.videos]
    firsts = np.cumsum([0, *(count for count in counts if count)])
    columns = {name: index.frames[name].to_numpy() for name in FRAME_COLUMNS}
    videos = [video for video in index.videos if video.num_frames]
    if not videos:
        raise ConfigError(f"{store.where} holds no frames.")
    return PreparedFrames(store, index.key, videos, firsts, columns)


def load_prepared(
    frames: Frames,
    batching: Batching,
    *,
    rule: PairRule,
    seed: int,
    canvas: tuple[int, int],
    steps: range,
    workers: int,
    pin_memory: bool = False,
    stopped: Callable[[], bool] = bool,
) -> Generator[PairBatch]:
    """Yield the batches of some steps of a run, as ``load_pairs`` does, by threads.

    Raises:
        VideoError: a frame and all its stand-ins cannot be read.
    """
    plan = PairPlan(BatchOrder(batching, seed=seed), frames.durations, rule=rule, seed=seed)
    positions = batching.positions
    to_begin = iter(steps)
    under_way: deque[tuple[Tensor, list[Future[_Read]]]] = deque()
    with _threads(max(workers, 1)) as threads:
        while True:
            for step in to_begin:
                pixels = torch.empty(
                    (len(positions), rule.frames, 3, *canvas),
                    dtype=torch.uint8,
                    pin_memory=pin_memory,
                )
                read = partial(_read_pair, frames, plan, pixels)
                places = (Place(step, position) for position in positions)
                under_way.append((pixels, [threads.submit(read, place) for place in places]))
                if len(under_way) > BATCHES_AHEAD:
                    break
            if not under_way:
                return
            pixels, futures = under_way.popleft()
            pairs = []
            for future in futures:
                while not _is_done(future):
                    if stopped():
                        return
                pairs.append(future.result())
            rows = [pair.row for pair in pairs]
            yield PairBatch(
                pixels,
                torch.tensor([pair.aspect_ratio for pair in pairs], dtype=torch.float32),
                torch.tensor(rows),
                torch.tensor([pair.pts for pair in pairs], dtype=torch.float64),
                [failure for pair in pairs for failure in pair.failures],
            )


@dataclass(frozen=True)
class _Read:
    """A pair that has been read: of which video, from when, and what failed before it."""

    row: int
    aspect_ratio: float
    pts: tuple[float, ...]
    failures: list[tuple[int, str]]


def _read_pair(
    frames: Frames, plan: PairPlan, pixels: UInt8[Tensor, "n f 3 h w"], place: Place
) -> _Read:
    failures: list[tuple[int, str]] = []
    pts_seconds = frames.pts_seconds
    height, width = pixels.shape[-2:]
    # numpy's: torch would have other threads copy a part, and wait for them on busy cores.
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
        except (VideoError, RuntimeError) as error:  # RuntimeError: libjpeg's
            failures.append((moment.row, str(error)))
            continue
        aspect_ratio = frames.aspect_ratio(moment.row, picture)
        return _Read(moment.row, aspect_ratio, tuple(pts_seconds[shown].tolist()), failures)
    raise VideoError(
        f"None of {len(failures)} videos tried for one pair could be read. The last: "
        f"{failures[-1][1]}"
    )


def _on_canvas(
    picture: UInt8[Tensor, "3 _ _"], *, height: int, width: int
) -> UInt8[Tensor, "3 {height} {width}"]:
    if picture.shape[-2:] == (height, width):
        return picture
    return resize_frames(picture.permute(1, 2, 0)[None].numpy(), height=height, width=width)[0]


def _is_done(future: "Future[_Read]") -> bool:
    try:
        future.exception(timeout=_SECONDS_TO_LISTEN)
    except TimeoutError:
        return False
    return True


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that drop what they have not begun when the block is left."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="read frames")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
