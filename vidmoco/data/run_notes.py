"""What a run notes of its pairs, so that it resumes with the same: catalog, frames, shots."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from einops import rearrange
from rich.console import Console

from vidmoco import distributed, run_folder
from vidmoco.atomic_file import atomic_write
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe
from vidmoco.data.frame_folders import FrameFolders
from vidmoco.data.image_corpus import ImageCorpus
from vidmoco.data.sources import Cuts
from vidmoco.errors import CheckpointError
from vidmoco.frames.key import same_frames
from vidmoco.frames.prepared import PreparedFrames
from vidmoco.json_text import read_json
from vidmoco.progress import ProgressBar
from vidmoco.video.catalog import Catalog
from vidmoco.video.moved import videos_elsewhere, videos_in_place
from vidmoco.video.shots import changes_of, is_cut


def find_cuts(config: PretrainConfig, resume: Path | None, find: Callable[[], Cuts]) -> Cuts | None:
    """Return where videos are cut into shots, if they are to be; a run that goes on has noted it.

    Raises:
        CheckpointError: the run's note cannot be read.
    """
    if config.data.segments != "shots":
        return None
    if resume is None:
        return find()
    path = resume / run_folder.SHOTS
    try:
        return [tuple(own) for own in read_json(path)]
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}, the shots of the run, cannot be read: {error}.") from error


def save_cuts(cuts: Cuts | None, run: Path) -> None:
    """Note the cuts in a run folder, if there are any."""
    if cuts is not None:
        (run / run_folder.SHOTS).write_text(json.dumps(cuts) + "\n", encoding="utf-8")


def cuts_of_frames(
    frames: PreparedFrames | FrameFolders, *, workers: int, console: Console
) -> Cuts:
    """Return where videos of stored frames are cut, as far as their frames show it."""

    def find(video: int) -> tuple[float, ...]:
        first, end = frames.firsts[video], frames.firsts[video + 1]
        shown = ((frames.pts_seconds[n], frames.read(n)) for n in range(first, end))
        times, changes = changes_of((t, rearrange(p, "c h w -> h w c").numpy()) for t, p in shown)
        return tuple(times[1:][is_cut(changes)].tolist())

    videos = range(len(frames.firsts) - 1)
    with (
        ThreadPoolExecutor(max(1, workers), thread_name_prefix="find shots") as threads,
        ProgressBar(console, "find shots", total=len(videos), log=True) as bar,
    ):
        return list(bar.track(threads.map(find, videos)))


def key_of_run(run: Path) -> dict[str, Any]:
    """Return the key of the prepared frames that a run began with.

    Raises:
        CheckpointError: it cannot be read.
    """
    path = run / run_folder.FRAMES
    try:
        return dict(read_json(path))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}. It identifies the frames that the run trains on."
        ) from error


def require_frames_of_run(
    config: PretrainConfig,
    frames: PreparedFrames | FrameFolders | ImageCorpus,
    key: dict[str, Any],
    *,
    run: Path,
) -> None:
    """Check that frames or images, whose key is ``key``, are those that a run began with.

    Raises:
        CheckpointError: they are not, or what the run has noted cannot be read.
    """
    saved = key_of_run(run)
    if isinstance(frames, ImageCorpus) and "version" not in saved:
        key = frames.key_of_first_version
    if not same_frames(saved, key):
        raise CheckpointError(
            f"The frames of {config.videos[0]} are not those that {run} began with, so the run "
            "would continue with other pairs. Give the original folder, or start a new run."
        )


def save_key(key: dict[str, Any], run: Path) -> None:
    """Note the key of frames or images in a run folder."""
    with atomic_write(run / run_folder.FRAMES) as part:
        part.write_text(json.dumps(key, indent=2) + "\n", encoding="utf-8")


def catalog_of_run(config: PretrainConfig, run: Path) -> Catalog:
    """Return the catalog of a run that goes on, whose videos may have moved.

    The main process looks for them and writes the catalog anew; the others come after it.
    """
    path = run / run_folder.CATALOG
    catalog = Catalog.load(path, older=True)
    if not distributed.is_main():
        return catalog
    settings = run / run_folder.CONFIG
    before = load_recipe(str(settings)).videos if settings.is_file() else config.videos
    if config.videos == before:
        now = videos_in_place(catalog, run=run)
    else:
        now = videos_elsewhere(
            catalog, config.videos, before=before, follow_links=config.limits.follow_links
        )
    if now is not catalog:
        now.save(path)
    return now
