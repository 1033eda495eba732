"""What a run notes of its pairs, so that it resumes with the same: prepared frames, shots."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from einops import rearrange
from rich.console import Console

from vidmoco import run_folder
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.data.sources import Cuts
from vidmoco.errors import CheckpointError
from vidmoco.frames.prepared import PreparedFrames
from vidmoco.json_text import read_json
from vidmoco.progress import ProgressBar
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


def cuts_of_frames(frames: PreparedFrames, *, workers: int, console: Console) -> Cuts:
    """Return where prepared videos are cut, as far as their frames show it."""

    def find(video: int) -> tuple[float, ...]:
        first, end = frames.firsts[video], frames.firsts[video + 1]
        shown = ((frames.pts_seconds[n], frames.read(n)) for n in range(first, end))
        times, changes = changes_of((t, rearrange(p, "c h w -> h w c").numpy()) for t, p in shown)
        return tuple(times[1:][is_cut(changes)].tolist())

    videos = range(len(frames.videos))
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
