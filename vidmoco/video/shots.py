"""Where a video is cut: the times at which its shots begin.

The change of a frame is how much it differs from the frame before, on average over pixels and
channels. It is divided by the median of the 8 changes before and the 8 after it, or by 0.02 where
that is less. A cut is where this ratio is 4 or more and the neighbours change less. So a cut in a
still scene counts, each step of a restless one does not, and a fade or a dissolve is not found.

Comparing a change with those around it is what adaptive thresholds of cut detection do (Yeo and
Liu, "Rapid scene analysis on compressed video", 1995). Measured on the first 120 frames of 150 web
and robot clips: 150 of 150 planted cuts are found, and 5 other candidates in 14,951 frames, some of
which are cuts.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from rich.console import Console

from vidmoco.atomic_file import atomic_write
from vidmoco.cache_folder import cache_folder
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.console import say
from vidmoco.errors import ConfigError
from vidmoco.json_text import read_json
from vidmoco.progress import ProgressBar
from vidmoco.shapes import Bool, Float64, UInt8
from vidmoco.video.frames import TimedPicture
from vidmoco.video.info import VideoInfo
from vidmoco.video.sequential_reader import iter_frames
from vidmoco.workers.pool import WorkerPool

FORMAT = 1  # of what is kept, and of the rule that it comes from
WINDOW = 8  # changes on each side
LEAST_RATIO = 4.0
LEAST_USUAL = 0.02  # 5 grey levels of 255
_SIDE = 32  # pixels; pictures are compared small, so that grain does not count


def find_cuts(video: VideoInfo, *, limits: Limits = DEFAULT_LIMITS) -> tuple[float, ...]:
    """Return when each shot but the first begins, in seconds from the first shown frame.

    Every frame is decoded.

    Raises:
        VideoError: no frame can be read.
    """
    times, changes = changes_of(iter_frames(video, limits=limits))
    return tuple(times[1:][is_cut(changes)].tolist())


def shots_of(
    video: VideoInfo, *, limits: Limits = DEFAULT_LIMITS, start: float = 0.0, end: float = math.inf
) -> list[tuple[float, float]]:
    """Return when each shot begins and ends, in seconds, between two times.

    Cuts are kept in the cache folder, so a second call decodes nothing.

    Raises:
        VideoError: no frame can be read.
    """
    cuts = _load(video)
    if cuts is None:
        cuts = find_cuts(video, limits=limits)
        _save(video, cuts)
    end = min(end, video.duration_seconds)
    begins = [start, *(cut for cut in cuts if start < cut < end)]
    return list(zip(begins, [*begins[1:], end], strict=True))


def changes_of(
    frames: Iterable[TimedPicture],
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " steps"]]:
    """Return the times of frames, and how much each but the first differs from the one before.

    A change is from 0 (the same picture) to 1 (black to white).
    """
    times, changes = [], []
    last: np.ndarray | None = None
    for seconds, picture in frames:
        small = _shrunk(picture)
        if last is not None:
            changes.append(float(np.abs(small - last).mean()) / 255)
        times.append(seconds)
        last = small
    return np.array(times), np.array(changes)


def is_cut(changes: Float64[np.ndarray, " steps"]) -> Bool[np.ndarray, " steps"]:
    """Return which changes are cuts."""
    ratio = changes / np.maximum(median_around(changes), LEAST_USUAL)
    return np.asarray((ratio >= LEAST_RATIO) & is_peak(changes))


def median_around(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return for each value the median of up to 8 before and 8 after it, itself left out."""
    if len(values) < 2:
        return np.zeros(len(values))
    padded = np.pad(values, WINDOW, constant_values=np.nan)
    around = sliding_window_view(padded, 2 * WINDOW + 1).copy()
    around[:, WINDOW] = np.nan
    return np.asarray(np.nanmedian(around, axis=1))


def is_peak(values: Float64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return which values are above the one before and not below the one after."""
    padded = np.pad(values, 1, constant_values=-1.0)
    return (values > padded[:-2]) & (values >= padded[2:])


def _shrunk(picture: UInt8[np.ndarray, "h w 3"]) -> np.ndarray:
    image = Image.fromarray(picture)
    factor = max(1, min(image.size) // _SIDE)
    return np.asarray(image.reduce(factor), dtype=np.int16)


def cuts_of_videos(
    videos: Sequence[VideoInfo], *, workers: int, limits: Limits, console: Console
) -> list[tuple[float, ...]]:
    """Return the cuts of each video, decoded in processes that a video may kill.

    What has been found is kept in the cache folder. A video that cannot be decoded has no cuts, and
    a line says why.
    """
    found: dict[int, tuple[float, ...]] = {}
    for number, video in enumerate(videos):
        if (known := _load(video)) is not None:
            found[number] = known
    missing = [(number, video) for number, video in enumerate(videos) if number not in found]
    if missing:
        pool = WorkerPool[tuple[int, VideoInfo], tuple[float, ...]](
            _build_finder,
            (limits,),
            workers=workers,
            max_memory=limits.max_memory,
            max_seconds=limits.max_seconds,
        )
        with pool, ProgressBar(console, "find shots", total=len(missing), log=True) as bar:
            for report in bar.track(pool.map(missing)):
                number, video = report.job
                if report.value is None:
                    say(console, f"No shots of {video.key!r}: {report.failure}")
                else:
                    _save(video, report.value)
                found[number] = report.value or ()
    return [found[number] for number in range(len(videos))]


def _build_finder(limits: Limits) -> Callable[[tuple[int, VideoInfo]], tuple[float, ...]]:
    return lambda job: find_cuts(job[1], limits=limits)


def _path_of(video: VideoInfo) -> Path:
    key = f"{FORMAT} {video.content or (video.path, video.num_bytes, video.mtime_ns)}"
    digest = hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()
    return cache_folder() / "shots" / digest[:2] / f"{digest[2:24]}.json"


def _load(video: VideoInfo) -> tuple[float, ...] | None:
    try:
        return tuple(float(cut) for cut in read_json(_path_of(video)))
    except (OSError, ValueError, TypeError):  # not there, or damaged: it is made again
        return None


def _save(video: VideoInfo, cuts: tuple[float, ...]) -> None:
    with suppress(ConfigError), atomic_write(_path_of(video)) as part:  # else found again next time
        part.write_text(json.dumps(cuts), encoding="utf-8")
