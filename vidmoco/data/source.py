"""Open the source of a run's pairs: videos, prepared frames or images."""

import shlex
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from vidmoco import distributed, run_folder
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.console import say
from vidmoco.content import hash_of_bytes
from vidmoco.data import run_notes
from vidmoco.data.batches import PairBatch, slots_needed
from vidmoco.data.frame_folders import FrameFolders, open_images
from vidmoco.data.frame_reader import MomentFrames, read_moments, read_stored_moments
from vidmoco.data.image_corpus import ImageCorpus
from vidmoco.data.loader import canvas_size, cut_batches, default_workers, load_pairs
from vidmoco.data.order import Batching
from vidmoco.data.pair_worker import bytes_of_slot
from vidmoco.data.prepared_loader import BATCHES_AHEAD, load_prepared
from vidmoco.data.quarantine import Quarantine
from vidmoco.data.sampling import Moment, pair_rule
from vidmoco.data.sources import Sources, gap_note, sources_of, whole_videos
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.frames.prepared import PreparedFrames, open_prepared
from vidmoco.frames.store import is_prepared
from vidmoco.shapes import Float64
from vidmoco.video.catalog import Catalog
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.scan_command import print_catalog
from vidmoco.video.shots import cuts_of_videos

MAX_FAILURES_LISTED = 50


@dataclass(frozen=True, kw_only=True)
class PairSource:
    """The source of a run's pairs."""

    config: PretrainConfig
    durations: Float64[np.ndarray, " n"]
    """The durations of the videos, in seconds."""
    sources: Sources
    """What the pairs are drawn from."""
    canvas: tuple[int, int]
    """(height, width) of the frames."""
    pairs_per_visit: int
    slots_needed: Callable[[Batching], int]
    """Returns the number of pairs that are in memory at once."""
    decodes: bool
    """Whether other processes decode videos during the training."""
    name: Callable[[int], str]
    """Returns the name of a video."""
    save: Callable[[Path], None]
    """Writes the source's identity to a run folder, for its resume."""
    load: Callable[..., Generator[PairBatch]]
    """``load_pairs`` or ``load_prepared``, with their different arguments bound."""
    read: Callable[..., list[MomentFrames | str]]
    """``read_moments`` or ``read_stored_moments``, with their different arguments bound."""
    content: str
    """A hash of the videos' or frames' content, in any place."""
    has_time: bool
    """Whether videos have more than one frame. False for images."""
    prepared_short_side: int | None = None
    """Of prepared frames: the setting. Frames of smaller videos are smaller."""

    def batching(self) -> Batching:
        """Return how an epoch is cut into batches.

        Raises:
            ConfigError: there is too little memory.
        """
        batch_size = self.config.data.batch_size
        return cut_batches(
            num_sources=len(self.sources),
            batch_size=batch_size,
            canvas=self.canvas,
            frames_per_video=self.config.data.frames_per_video,
            pairs_per_visit=self.pairs_per_visit,
            block_gib=self.config.data.block_gib,
            positions=distributed.shard(batch_size),
        )

    def warning(self) -> str:
        """Return what its method warns of with so many videos, segments or images, or ""."""
        noun = "segment" if len(self.sources) > len(self.durations) else "video"
        return self.config.method.warning(len(self.sources), noun if self.has_time else "image")

    def gap_note(self) -> str:
        """Return which videos or segments are too short for the gaps, or an empty string."""
        if not self.has_time:
            return ""
        return gap_note(self.config.data, self.sources, num_videos=len(self.durations))

    def memory_bytes(self, batching: Batching) -> int:
        """Return the memory of the frames that are read ahead of their step, in bytes."""
        frames = self.config.data.frames_per_video
        return self.slots_needed(batching) * bytes_of_slot(frames, self.canvas)

    def batches(
        self,
        batching: Batching,
        steps: range,
        *,
        pin_memory: bool = False,
        stopped: Callable[[], bool] = bool,
    ) -> Generator[PairBatch]:
        """Yield the batches of consecutive steps of a run.

        Raises:
            VideoError: too many videos in a row cannot be read.
        """
        return self.load(
            batching,
            rule=pair_rule(self.config.data),
            seed=self.config.seed,
            canvas=self.canvas,
            steps=steps,
            workers=self.workers,
            sources=self.sources,
            pin_memory=pin_memory,
            stopped=stopped,
        )

    def read_moments(
        self, moments: Sequence[Moment], *, preprocess: Preprocess
    ) -> list[MomentFrames | str]:
        """Return the preprocessed frames of each moment, or the reason they cannot be read."""
        return self.read(moments, preprocess=preprocess, workers=self.workers)

    def failure_lines(self, failures: Mapping[int, str]) -> list[str]:
        """Return a line for each unreadable video, up to a limit, and the number of the others."""
        lines = [f"  {self.name(row)!r}: {reason}" for row, reason in sorted(failures.items())]
        more = len(lines) - MAX_FAILURES_LISTED
        return [*lines[:MAX_FAILURES_LISTED], f"  … and {more} more"] if more > 0 else lines

    @property
    def workers(self) -> int:
        """The number of processes or threads that read frames."""
        return _workers(self.config)


def open_source(
    config: PretrainConfig,
    *,
    resume: Path | None,
    console: Console,
    quarantine: Path | None = None,
    catalog: Catalog | None = None,
) -> PairSource:
    """Open the videos, prepared frames or images of a run, and list unreadable videos.

    A run that resumes gets the videos that it began with. ``quarantine`` is the run's file of
    videos that killed a process, ``catalog`` that of a new run's videos.

    Raises:
        ConfigError: nothing can be read, or nothing is as long as ``--data.min-gap``.
        CheckpointError: the frames are not those that the run began with.
    """
    if not config.videos:
        raise ConfigError("No videos given. Give a folder of videos: vidmoco pretrain videos/")
    prepared = [source for source in config.videos if is_prepared(source)]
    if prepared and len(config.videos) > 1:
        raise ConfigError(
            f"{prepared[0]} holds prepared frames, which cannot be mixed with other sources. "
            "Prepare all videos into one folder."
        )
    if prepared and config.data.frame_rate is None:
        return _of_frames(config, open_prepared(prepared[0]), resume=resume, console=console)
    images, notes = open_images(config.videos, frame_rate=config.data.frame_rate)
    say(console, *notes)
    if images is not None:
        return _of_frames(config, images, resume=resume, console=console)
    if resume is not None and (resume / run_folder.FRAMES).exists():
        raise CheckpointError(
            f"{config.videos[0]} does not hold the frames that {resume} began with. If they have "
            "moved, give their folder: vidmoco pretrain FOLDER --run "
            f"{shlex.quote(str(resume))} --resume"
        )
    if resume is not None:
        saved = run_notes.catalog_of_run(config, resume)
        return _of_videos(config, saved, quarantine, resume=resume, console=console)
    workers = config.data.workers or None
    found = catalog or open_catalog(config.videos, workers=workers, limits=config.limits)
    if len(found.refused()):
        print_catalog(found, console=console)
    if not len(found.readable()):
        raise ConfigError("None of these videos can be read. The reasons are listed above.")
    return _of_videos(config, found, quarantine, resume=None, console=console)


def _of_videos(
    config: PretrainConfig,
    found: Catalog,
    quarantine: Path | None,
    *,
    resume: Path | None,
    console: Console,
) -> PairSource:
    catalog = found.readable()
    durations = catalog.column("duration_seconds")
    cuts = run_notes.find_cuts(
        config,
        resume,
        lambda: cuts_of_videos(
            list(catalog.rows()),
            workers=max(1, _workers(config)),
            limits=config.limits,
            console=console,
        ),
    )

    def save(run: Path) -> None:
        found.save(run / run_folder.CATALOG)
        run_notes.save_cuts(cuts, run)

    return PairSource(
        config=config,
        durations=durations,
        sources=sources_of(config.data, durations, cuts, new=resume is None),
        canvas=canvas_size(catalog.aspect_ratios(), short_side=config.data.short_side),
        pairs_per_visit=config.data.pairs_per_visit,
        slots_needed=slots_needed,
        decodes=True,
        name=lambda row: catalog[row].key,
        save=save,
        content=hash_of_bytes("\n".join(catalog.column("content").tolist()).encode()),
        load=partial(
            load_pairs,
            catalog,
            limits=config.limits,
            decoder=config.data.decoder,
            quarantine=Quarantine(quarantine),
        ),
        read=partial(read_moments, catalog, limits=config.limits, decoder=config.data.decoder),
        has_time=True,
    )


def _of_frames(
    config: PretrainConfig,
    frames: PreparedFrames | FrameFolders | ImageCorpus,
    *,
    resume: Path | None,
    console: Console,
) -> PairSource:
    key = frames.key
    canvas = canvas_size(frames.aspect_ratios, short_side=config.data.short_side)
    if not isinstance(frames, PreparedFrames):
        frames = frames.with_least_side(2 * max(canvas))  # the rest is resized with care
    if resume is not None:
        run_notes.require_frames_of_run(config, frames, key, run=resume)
    cuts, short_side, sources = None, None, whole_videos(frames.durations)
    if isinstance(frames, PreparedFrames):
        short_side = key["settings"]["short_side"]
    if not isinstance(frames, ImageCorpus):
        find = partial(run_notes.cuts_of_frames, frames, workers=_workers(config), console=console)
        cuts = run_notes.find_cuts(config, resume, find)
        sources = sources_of(config.data, frames.durations, cuts, new=resume is None)

    def save(run: Path) -> None:
        run_notes.save_key(key, run)
        run_notes.save_cuts(cuts, run)

    return PairSource(
        config=config,
        durations=frames.durations,
        sources=sources,
        canvas=canvas,
        pairs_per_visit=1,  # random access costs nothing
        slots_needed=lambda batching: (BATCHES_AHEAD + 2) * len(batching.positions),
        decodes=False,
        name=frames.names.__getitem__,
        save=save,
        content=str(key["content"]),
        load=partial(load_prepared, frames),
        read=partial(read_stored_moments, frames),
        has_time=not isinstance(frames, ImageCorpus),
        prepared_short_side=short_side,
    )


def _workers(config: PretrainConfig) -> int:
    if config.data.workers is not None:
        return config.data.workers
    return max(1, default_workers() // distributed.local_world_size())
