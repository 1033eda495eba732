"""The sources of a training: whole videos, and the parts of long ones.

A source is what the batches, the masks of a queue and the instances of a memory bank go by. Of
recordings of an hour each, a pair should be two frames of one scene and not of one day, and twenty
files should be more than twenty instances.

    a video of 10 s        one source
    a video of 3 minutes   6 sources of 30 s
    cut at its shots       a source a shot, and long shots in parts
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidmoco.config.data import DataConfig
from vidmoco.errors import ConfigError
from vidmoco.shapes import Float64, Int64
from vidmoco.text import counted

Cuts = Sequence[Sequence[float]]
"""When the shots of each video begin, without the first, in seconds."""

PART_SECONDS = 30.0  # assumption: a scene; the papers' clips of Kinetics last 10 s
_SHORTEST_SECONDS = 2.0
_LEAST_SOURCES = 8  # for which parts may be shorter still
_LEAST_SECONDS = 0.1  # for which not even then: such a part has few frames, or one


@dataclass(frozen=True, eq=False)
class Sources:
    """The video of each source, and its part of it."""

    rows: Int64[np.ndarray, " n"]
    """The video of each, a row of the catalog; not falling."""
    starts: Float64[np.ndarray, " n"]
    """Seconds from the first frame of the video."""
    durations: Float64[np.ndarray, " n"]
    """In seconds."""

    def __len__(self) -> int:
        return len(self.rows)


def sources_of(
    data: DataConfig,
    durations: Float64[np.ndarray, " videos"],
    cuts: Cuts | None,
    *,
    new: bool = True,
) -> Sources:
    """Return the sources of a training.

    Args:
        data: its settings.
        durations: of the videos, in seconds.
        cuts: of ``--data.segments shots``.
        new: whether gaps are to be judged. A run that resumes goes on as it began.

    Raises:
        ConfigError: no video is as long as a segment or as ``--data.min-gap``.
    """
    sources = _sources_of(data, durations, cuts)
    if new:
        _require_gap(data, sources, num_videos=len(durations))
    return sources


def _sources_of(
    data: DataConfig, durations: Float64[np.ndarray, " videos"], cuts: Cuts | None
) -> Sources:
    if data.segments == "whole":
        return whole_videos(durations)
    seconds = part_seconds(
        durations,
        batch_size=data.batch_size,
        asked=data.segment_seconds,
        gap=max(data.min_gap, data.max_gap or 0.0),
    )
    return cut_sources(durations, seconds=seconds, cuts=cuts)


def _require_gap(data: DataConfig, sources: Sources, *, num_videos: int) -> None:
    """Raise ``ConfigError`` if no source is as long as ``--data.min-gap``."""
    longest = float(sources.durations.max())
    if data.single_frame or longest >= data.min_gap:
        return
    cut = len(sources) > num_videos
    advice = f", --data.segment-seconds {2 * data.min_gap:g} or --data.segments whole" * cut
    raise ConfigError(
        f"--data.min-gap is {data.min_gap:g} s, and the longest {'segment' if cut else 'video'} "
        f"lasts {_floor(longest):g} s, which is the longest gap that a pair can have. Give less"
        f"{advice}."
    )


def gap_note(data: DataConfig, sources: Sources, *, num_videos: int) -> str:
    """Return which sources are too short for the gaps that are asked for, or an empty string."""
    if data.single_frame:
        return ""
    noun = "segment" if len(sources) > num_videos else "video"
    if short := int((sources.durations < data.min_gap).sum()):
        return (
            f"{short:,} of {counted(len(sources), noun)} are shorter than --data.min-gap "
            f"({data.min_gap:g} s) and give their longest gap."
        )
    longest = float(sources.durations.max())
    if data.max_gap is not None and longest < data.max_gap:
        return (
            f"No {noun} is as long as --data.max-gap ({data.max_gap:g} s): gaps are at most "
            f"{_floor(longest):g} s."
        )
    return ""


def _floor(seconds: float) -> float:
    """Return three digits, rounded down, so that what a message names can be given."""
    if not seconds:
        return 0.0
    scale = 10.0 ** (2 - math.floor(math.log10(seconds)))
    return math.floor(seconds * scale) / scale


def whole_videos(durations: Float64[np.ndarray, " videos"]) -> Sources:
    """Return a source for each video; ``durations`` are in seconds."""
    return cut_sources(durations, seconds=np.inf)


def part_seconds(
    durations: Float64[np.ndarray, " videos"],
    *,
    batch_size: int,
    asked: float | None,
    gap: float = 0.0,
) -> float:
    """Return how long the parts of videos should be, in seconds.

    Unless it is asked for, a part lasts 30 s, or twice the ``gap`` that pairs are to have. It is
    shorter where there would be fewer sources than ``batch_size``: down to 2 s, and down to an
    eighth of all footage, or 0.1 s, where it is only seconds.

    Raises:
        ConfigError: what is asked for is longer than every video.
    """
    if asked is None:
        total = float(durations.sum())
        shortest = min(_SHORTEST_SECONDS, max(total / _LEAST_SOURCES, _LEAST_SECONDS))
        longest = max(PART_SECONDS, 2 * gap)
        return float(np.clip(total / batch_size, shortest, longest))
    if asked > durations.max():
        raise ConfigError(
            f"--data.segment-seconds is {asked:g}, and the longest video lasts "
            f"{durations.max():.3g} s. Give less, or --data.segments whole."
        )
    return asked


def cut_sources(
    durations: Float64[np.ndarray, " videos"],
    *,
    seconds: float,
    cuts: Cuts | None = None,
) -> Sources:
    """Return the sources of videos.

    Each shot is cut into equal parts of about ``seconds``, one of less than one and a half times
    that into one.

    Args:
        durations: of the videos, in seconds; 0 for a single image.
        seconds: length of a part; infinity leaves shots whole.
        cuts: when the shots of each video begin, without the first. None means one shot a video.
    """
    rows, starts, ends = _shots(durations, cuts)
    parts = np.maximum(np.rint((ends - starts) / seconds), 1).astype(np.int64)
    first = np.repeat(parts.cumsum() - parts, parts)
    length = np.repeat((ends - starts) / parts, parts)
    number = np.arange(parts.sum()) - first
    return Sources(np.repeat(rows, parts), np.repeat(starts, parts) + number * length, length)


def _shots(
    durations: Float64[np.ndarray, " videos"], cuts: Cuts | None
) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Return video, begin and end of each shot."""
    rows = np.arange(len(durations))
    if cuts is None:
        return rows, np.zeros(len(durations)), durations
    rows = np.repeat(rows, [len(own) + 1 for own in cuts])
    starts = np.concatenate([[0.0, *own] for own in cuts])
    ends = np.concatenate([[*own, last] for own, last in zip(cuts, durations, strict=True)])
    return rows, starts, ends
