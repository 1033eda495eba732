"""From settings to batches of pairs, of videos or of prepared frames: for a run and its preview."""

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from rich.console import Console

from vidmoco import run_folder
from vidmoco.config import DataConfig, PretrainConfig
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.shapes import Float64
from vidmoco.video.batches import PairBatch
from vidmoco.video.catalog import Catalog, build_limits, open_catalog, print_catalog
from vidmoco.video.frame_store import is_prepared
from vidmoco.video.loader import canvas_size, cut_batches, default_workers, load_pairs
from vidmoco.video.order import Batching
from vidmoco.video.prepared import PreparedFrames, load_prepared, open_prepared
from vidmoco.video.quarantine import Quarantine
from vidmoco.video.sampling import SINGLE_FRAME, PairRule


@runtime_checkable
class PairSource(Protocol):
    """Where pairs come from."""

    @property
    def durations(self) -> Float64[np.ndarray, " n"]:
        """The durations of the videos, in seconds."""

    def name(self, row: int) -> str:
        """Return the key of a video."""

    def batching(self, *, batch_size: int | None = None) -> Batching:
        """Return how the videos are cut into batches (of another size, if one is given).

        Raises:
            ConfigError: there are too few videos, or there is too little memory.
        """

    def batches(
        self,
        batching: Batching,
        steps: range,
        *,
        quarantine: Quarantine | None = None,
        pin_memory: bool = False,
        stopped: Callable[[], bool] = bool,
    ) -> Generator[PairBatch]:
        """Yield the batches of some steps of a run.

        Raises:
            VideoError: too many videos in a row cannot be read.
        """

    def save(self, run: Path) -> None:
        """Note in a run folder what its pairs come from, for its resume."""


def open_source(config: PretrainConfig, *, resume: Path | None, console: Console) -> PairSource:
    """Open the videos or the prepared frames of a run.

    Args:
        config: of the run.
        resume: the folder of a run that goes on; its videos are those of its start.
        console: where videos that cannot be read are listed.

    Raises:
        ConfigError: there is nothing that can be read.
        CheckpointError: the frames have been prepared anew since the run began.
    """
    if not config.videos:
        raise ConfigError("No videos given. Name a folder of videos: vidmoco pretrain videos/")
    prepared = [source for source in config.videos if is_prepared(source)]
    if prepared and len(config.videos) > 1:
        raise ConfigError(
            f"{prepared[0]} holds prepared frames, which cannot be mixed with other sources. "
            "Prepare all videos into one folder."
        )
    if prepared:
        return _Prepared(config, open_prepared(prepared[0]), resume=resume)
    if resume is not None:
        return _Videos(config, Catalog.load(resume / run_folder.CATALOG))
    found = open_catalog(config.videos, workers=config.data.workers or None, limits=config.limits)
    if len(found.refused()):
        print_catalog(found, console=console)
    if not len(found.readable()):
        raise ConfigError("None of these videos can be read; the reasons are listed above.")
    return _Videos(config, found)


def pair_rule(config: DataConfig) -> PairRule:
    """Return how the times of a pair are drawn; the single-frame control overrides the rest."""
    if config.single_frame:
        return SINGLE_FRAME
    return PairRule(
        min_gap=config.min_gap,
        max_gap=config.max_gap,
        same_frame_probability=config.same_frame_probability,
    )


class _Videos:
    """Pairs that are decoded from video files."""

    def __init__(self, config: PretrainConfig, found: Catalog) -> None:
        self._config, self._found = config, found
        self._catalog = found.readable()
        aspect_ratios = self._catalog.aspect_ratios()
        self._canvas = canvas_size(aspect_ratios, short_side=config.data.short_side)

    @property
    def durations(self) -> Float64[np.ndarray, " n"]:
        return self._catalog.column("duration_seconds")

    def name(self, row: int) -> str:
        return self._catalog[row].key

    def batching(self, *, batch_size: int | None = None) -> Batching:
        data = self._config.data
        return cut_batches(
            num_videos=len(self._catalog),
            batch_size=batch_size or data.batch_size,
            canvas=self._canvas,
            pairs_per_visit=data.pairs_per_visit,
            block_gib=data.block_gib,
        )

    def batches(
        self,
        batching: Batching,
        steps: range,
        *,
        quarantine: Quarantine | None = None,
        pin_memory: bool = False,
        stopped: Callable[[], bool] = bool,
    ) -> Generator[PairBatch]:
        data = self._config.data
        return load_pairs(
            self._catalog,
            batching,
            rule=pair_rule(data),
            seed=self._config.seed,
            canvas=self._canvas,
            steps=steps,
            workers=default_workers() if data.workers is None else data.workers,
            limits=build_limits(self._config.limits),
            decoder=data.decoder,
            quarantine=quarantine,
            pin_memory=pin_memory,
            stopped=stopped,
        )

    def save(self, run: Path) -> None:
        self._found.save(run / run_folder.CATALOG)


class _Prepared:
    """Pairs of prepared frames."""

    def __init__(
        self, config: PretrainConfig, frames: PreparedFrames, *, resume: Path | None
    ) -> None:
        self._config, self._frames = config, frames
        self._canvas = canvas_size(frames.aspect_ratios, short_side=config.data.short_side)
        if resume is not None and _key_of(resume) != frames.key:
            raise CheckpointError(
                f"{frames.store.where} has been prepared anew since {resume} began, so the order "
                "of its pairs would be another. Start a new run."
            )

    @property
    def durations(self) -> Float64[np.ndarray, " n"]:
        return self._frames.durations

    def name(self, row: int) -> str:
        return self._frames.videos[row].name

    def batching(self, *, batch_size: int | None = None) -> Batching:
        return cut_batches(
            num_videos=len(self._frames.videos),
            batch_size=batch_size or self._config.data.batch_size,
            canvas=self._canvas,
            pairs_per_visit=1,  # frames at random cost nothing more
            block_gib=1.0,
        )

    def batches(
        self,
        batching: Batching,
        steps: range,
        *,
        quarantine: Quarantine | None = None,
        pin_memory: bool = False,
        stopped: Callable[[], bool] = bool,
    ) -> Generator[PairBatch]:
        data = self._config.data
        return load_prepared(
            self._frames,
            batching,
            rule=pair_rule(data),
            seed=self._config.seed,
            canvas=self._canvas,
            steps=steps,
            workers=default_workers() if data.workers is None else data.workers,
            pin_memory=pin_memory,
            stopped=stopped,
        )

    def save(self, run: Path) -> None:
        text = json.dumps(self._frames.key, indent=2) + "\n"
        (run / run_folder.FRAMES).write_text(text, encoding="utf-8")


def _key_of(run: Path) -> dict[str, Any]:
    path = run / run_folder.FRAMES
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}. It says which frames the run has been trained on."
        ) from error
