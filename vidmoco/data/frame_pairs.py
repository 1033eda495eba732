"""Pairs of frames for a training loop of one's own."""

import inspect
import os
import sys
import threading
import weakref
from collections.abc import Generator, Iterator, Sequence
from os import PathLike
from types import FrameType
from typing import Any

from rich.console import Console
from torch import Tensor
from torch.utils.data import IterableDataset, default_collate, get_worker_info

from vidmoco import distributed
from vidmoco.config.augment import AugmentConfig
from vidmoco.config.data import DataConfig
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.config.methods import SimCLRConfig
from vidmoco.config.plain import checked, from_python, to_plain
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.console import say
from vidmoco.data.batches import PairBatch
from vidmoco.data.source import open_source
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.urls import absolute_paths

_WITHOUT_EFFECT = ("workers", "decoder")  # on the pairs

_ALONE = (
    "FramePairs has worker processes of its own, and stays in the process that made it. Give the "
    "DataLoader batch_size=None and num_workers=0, and FramePairs workers=N."
)
_WHOLE = (
    "FramePairs gives whole batches, and this DataLoader would make batches of them. Give the "
    "DataLoader batch_size=None, and FramePairs batch_size=N."
)
_SHARED_OUT = (
    "FramePairs gives each process its share of every batch, and accelerate would share that out "
    "again. Give accelerator.prepare() the method and the optimizer only, and iterate over "
    "FramePairs itself."
)


class FramePairs(IterableDataset[dict[str, Tensor]]):
    """Batches of frame pairs, in the order that ``vidmoco pretrain`` has them.

    One pass gives the rest of an epoch; the next pass goes on with the next. Processes of vidmoco's
    own decode, and end with the ``with`` block, also after an error in it. So it is used as it is,
    or in ``DataLoader(pairs, batch_size=None)`` with ``num_workers=0``. Under ``torch.distributed``
    each rank gets its share of every batch, also if the process group begins later.

        with vidmoco.FramePairs("videos/", batch_size=128, short_side=128) as pairs:
            for batch in pairs:
                batch["frames"]         uint8 (N, F, 3, H, W); F is 2, or frames_per_video
                batch["source_ids"]     int64 (N,): the video or segment; equal ones are no
                                        negatives
                batch["pts_seconds"]    float64 (N, F): when each is shown, from the start of its
                                        video
                batch["aspect_ratios"]  float32 (N,): displayed width / height; frames fill a canvas
                                        of one shape, and ``vidmoco.augment.views`` undoes that
                batch["rows"]           int64 (N,): the video; ``pairs.name(row)`` is its path

    Args:
        videos: A folder of videos, prepared frames or images, a video or a catalog; or several.
        seed: Decides the order of videos and the pairs.
        console: Where refused videos are listed. The default is standard error.
        limits: What a video may be, as in ``pretrain``: ``{"max_duration": 9e4}``.
        **settings: The settings of the ``data`` section: ``batch_size`` (over all ranks),
            ``short_side``, ``max_gap``, ``workers``, ``segments`` …

    Raises:
        ConfigError: A setting is unknown or cannot be used, or no video can be read.
    """

    def __init__(
        self,
        videos: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        seed: int = 0,
        console: Console | None = None,
        limits: Limits | dict[str, Any] = DEFAULT_LIMITS,
        **settings: Any,
    ) -> None:
        super().__init__()
        data = from_python(DataConfig, settings, call=FramePairs)
        # Only videos, seed and data are used; the others ask nothing of them.
        config = PretrainConfig(
            videos=absolute_paths(videos),
            seed=checked(FramePairs.__init__, seed=seed)["seed"],
            data=data,
            augment=AugmentConfig(small_crops=data.frames_per_video - 2),
            method=SimCLRConfig(),
            limits=limits if isinstance(limits, Limits) else from_python(Limits, limits),
        )
        console = console or Console(stderr=True)
        self._source = open_source(config, resume=None, console=console)
        if note := self._source.gap_note():
            say(console, note)
        self._batching = self._source.batching()
        decisive = {k: v for k, v in to_plain(config.data).items() if k not in _WITHOUT_EFFECT}
        self._key = decisive | {
            "seed": config.seed,
            "num_sources": len(self._source.sources),
            "content": self._source.content,
        }
        self._batches: Generator[PairBatch] | None = None
        self._closing: weakref.finalize[Any, Any] | None = None
        self._times_closed = 0
        self._lock = threading.Lock()  # threads may take turns
        self._process = os.getpid()
        self.step = 0
        self.failures: dict[int, str] = {}

    def __enter__(self) -> "FramePairs":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._batching.batches_per_epoch

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield the batches of the rest of this epoch, until it is closed.

        Raises:
            ConfigError: This is a process of a DataLoader, or a fork of the one that made this; a
                DataLoader would make batches of batches; accelerate would share them out again.
            VideoError: Too many videos in a row cannot be read.
        """
        self._require_own_process()
        self._refuse_other_batching()
        return self._rest_of_epoch()

    def _rest_of_epoch(self) -> Iterator[dict[str, Tensor]]:
        end = (self.step // len(self) + 1) * len(self)
        times_closed = self._times_closed
        batching = self._source.batching()
        if batching.positions != self._batching.positions:  # the ranks have met since
            self._stop_reading()
            self._batching = batching
        while self._times_closed == times_closed and (batch := self._take(end)):
            yield {
                "frames": batch.frames,
                "aspect_ratios": batch.aspect_ratios,
                "source_ids": batch.source_ids,
                "rows": batch.rows,
                "pts_seconds": batch.pts_seconds,
            }

    def _take(self, end: int) -> PairBatch | None:
        """Return the next batch before step ``end``; None if there is none, or it is closed."""
        self._require_own_process()
        with self._lock:
            if self.step >= end:
                return None
            if self._batches is None:
                steps, stopped = range(self.step, sys.maxsize), threading.Event()
                self._batches = self._source.batches(self._batching, steps, stopped=stopped.is_set)
                self._closing = weakref.finalize(  # or when Python ends
                    self, _close, self._batches, stopped
                )
            try:
                batch = next(self._batches, None)
            except BaseException:  # also an interrupt: the next pass begins with this batch
                self._stop_reading()
                raise
            if batch is not None:
                self.step += 1
                self.failures.update(batch.failures)
            return batch

    def name(self, row: int) -> str:
        """Return the path of a video below its folder."""
        return self._source.name(row)

    def state_dict(self) -> dict[str, Any]:
        """Return how far it is: the next batch is the one after the last that was given out."""
        return {"step": self.step, "world_size": distributed.world_size(), **self._key}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was.

        Raises:
            CheckpointError: It is of other videos or settings.
        """
        saved = {"content": self._source.content} | state  # vidmoco 0.1.0 did not note it
        differing = [key for key, value in self._key.items() if saved.get(key) != value]
        if differing:
            raise CheckpointError(
                f"The state is of pairs with another {', '.join(differing)}, and would go on with "
                "others. Give the settings and the videos that it began with."
            )
        self._stop_reading()
        self.step = state["step"]

    def close(self) -> None:
        """End the processes that decode, and every pass; the next pass starts others.

        ``with FramePairs(…) as pairs`` does so at the end of the block.
        """
        self._times_closed += 1
        self._stop_reading()

    def _stop_reading(self) -> None:
        if self._closing is not None:
            self._closing()
        self._batches = self._closing = None

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to be sent to another process, such as one that a DataLoader spawns, or saved."""
        raise ConfigError(f"{_ALONE} To save how far it is, save its state_dict().")

    def _require_own_process(self) -> None:
        """Refuse a process without the threads and processes that read, before waiting for them.

        Each process of a DataLoader would have the same pairs, too.
        """
        if get_worker_info() is not None:
            raise ConfigError(_ALONE)
        if os.getpid() != self._process:
            raise ConfigError(
                "This FramePairs was made in another process, whose workers a fork does not have. "
                "Make it in the process that uses it."
            )

    def _refuse_other_batching(self) -> None:
        """Refuse loaders that make batches of batches, or share out what is shared out already.

        They tell a dataset nothing of what they do with it, but they are on the stack.
        """
        frame: FrameType | None = sys._getframe()
        several = distributed.world_size() > 1
        while frame is not None:
            module = frame.f_globals.get("__name__")
            if module == "torch.utils.data._utils.fetch":
                found = frame.f_locals
                if found.get("dataset") is self and found.get("collate_fn") is default_collate:
                    raise ConfigError(_WHOLE)
            elif module == "accelerate.data_loader" and several:
                raise ConfigError(_SHARED_OUT)
            frame = frame.f_back


def _close(batches: Generator[PairBatch], stopped: threading.Event) -> None:
    # A thread of the caller's may wait for a batch, also when Python ends: it ends the batches.
    stopped.set()
    if inspect.getgeneratorstate(batches) != inspect.GEN_RUNNING:
        batches.close()
