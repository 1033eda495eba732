"""Retrieval of the same video: how often the nearest frame is of the query's video. No labels.

video A   ──q────a──        q is the query, a its gallery frame some time later
video B   q────b────        A is right if a is the nearest of all a, b, c … to A's q
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.nn.functional import normalize

from vidmoco import distributed
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.config.monitor import MonitorConfig
from vidmoco.console import say
from vidmoco.data.frame_reader import MomentFrames
from vidmoco.data.sampling import Moment
from vidmoco.data.source import PairSource
from vidmoco.errors import ConfigError
from vidmoco.evaluate.features import ImageBatch
from vidmoco.shapes import Float, Float64
from vidmoco.text import counted
from vidmoco.train.monitor_backbone import FrozenCopy

# Seeds these random numbers apart from those of the order and the pairs.
_RETRIEVAL = 4
_SHOWN_FAILURES = 3


@dataclass(frozen=True)
class Draw:
    """A video, the time of its query in seconds, and the distances of its gallery frames."""

    row: int
    start: float
    distances: tuple[float, ...]

    @property
    def moment(self) -> Moment:
        """The times of the query and of its gallery frames."""
        return Moment(self.row, (self.start, *(self.start + d for d in self.distances)))


def draw_videos(
    durations: Float64[np.ndarray, " videos"],
    *,
    distances: Sequence[float],
    num_videos: int,
    seed: int,
) -> list[Draw]:
    """Return up to ``num_videos`` videos for each distance, of those longer than it, by row.

    The videos are taken in one random order, so the distances mostly share them. The query's time
    is uniform over the part that allows the longest distance.
    """
    distances_of: dict[int, list[float]] = {}
    order = np.random.default_rng((seed, _RETRIEVAL)).permutation(len(durations))
    for distance in sorted(distances):
        for row in order[durations[order] > distance][:num_videos].tolist():
            distances_of.setdefault(row, []).append(distance)
    draws = []
    for row, chosen in sorted(distances_of.items()):
        share = float(np.random.default_rng((seed, _RETRIEVAL, row)).random())
        draws.append(Draw(row, (float(durations[row]) - max(chosen)) * share, tuple(chosen)))
    return draws


def rank_one(queries: Float[Tensor, "n d"], gallery: Float[Tensor, "n d"]) -> float:
    """Return the percentage of queries whose nearest gallery frame, by cosine, is their own."""
    nearest = (normalize(queries, dim=1) @ normalize(gallery, dim=1).T).argmax(dim=1)
    return 100 * int((nearest == torch.arange(len(queries))).sum()) / len(queries)


class RetrievalProbe:
    """Measures retrieval. This process's frames are in memory, resized, in uint8."""

    def __init__(
        self, config: MonitorConfig, source: PairSource, preprocess: Preprocess, *, console: Console
    ) -> None:
        """Draw the videos and read their frames.

        Raises:
            ConfigError: too few videos are long enough and readable, or their frames take too much
                memory.
        """
        durations = source.durations
        if len(durations) < 2:
            raise ConfigError(
                "--monitor.retrieval looks for the video of a frame among several, and there is "
                "only one. Give more videos, or no --monitor.retrieval."
            )
        draws = draw_videos(
            durations, distances=config.distances, num_videos=config.videos, seed=config.seed
        )
        gib = _require_memory(config, draws, size=preprocess.size)
        # Frames are numbered across all videos, each query before its gallery frames.
        firsts = list(accumulate((1 + len(draw.distances) for draw in draws), initial=0))
        own = distributed.shard(len(draws))
        say(console, f"Monitor: reading frames of {counted(len(draws), 'video')} …")
        found = source.read_moments([draws[n].moment for n in own], preprocess=preprocess)
        self._batches = _batches(found, firsts[own.start : own.stop], config.batch_size)
        self._num_frames = firsts[-1]
        # By distance: the frame numbers of queries and of their gallery frames.
        self._pairs: dict[float, list[tuple[int, int]]] = {d: [] for d in sorted(config.distances)}
        failures = []
        times = [s if isinstance(s, str) else s.pts_seconds.tolist() for s in found]
        all_times = [one for some in distributed.gather_objects(times) for one in some]
        for draw, first, pts in zip(draws, firsts[:-1], all_times, strict=True):
            if isinstance(pts, str):
                failures.append(f"{source.name(draw.row)!r}: {pts}")
                continue
            for n, distance in enumerate(draw.distances, start=1):
                if pts[n] > pts[0]:  # else both are one frame of a video with few frames
                    self._pairs[distance].append((first, first + n))
        self._report(config, durations, failures, gib=gib, console=console)

    def _report(
        self,
        config: MonitorConfig,
        durations: Float64[np.ndarray, " videos"],
        failures: list[str],
        *,
        gib: float,
        console: Console,
    ) -> None:
        """Drop distances that cannot be measured, and print what is measured."""
        lacking = [distance for distance, pairs in self._pairs.items() if len(pairs) < 2]
        for distance in lacking:
            del self._pairs[distance]
        distances = ", ".join(f"{distance:g}" for distance in config.distances)
        if not self._pairs:
            second = float(np.sort(durations)[-2])
            is_long = second > min(config.distances)
            raise ConfigError(
                f"--monitor.distances is {distances} s, but fewer than two videos have readable "
                f"frames so far apart; the second longest lasts {second:.3g} s. Give "
                f"{'more videos' if is_long else 'shorter distances'}, or no --monitor.retrieval."
                + (f" Cannot be read: {failures[0]}" if failures else "")
            )
        kept = ", ".join(f"{d:g} s ({len(pairs)} videos)" for d, pairs in self._pairs.items())
        lines = [f"Monitor: retrieval of the same video at {kept}; {gib:.2g} GiB of memory"]
        lines += [
            f"  {distance:g} s is left out: fewer than two videos have frames so far apart"
            for distance in lacking
        ]
        if failures:
            lines.append(f"  {len(failures)} videos cannot be read and are left out:")
            lines += [f"    {failure}" for failure in failures[:_SHOWN_FAILURES]]
        say(console, *lines)

    def __call__(self, frozen: FrozenCopy) -> dict[str, dict[str, float]]:
        """Return ``retrieval`` on the main process: rank-1 in percent, by distance in seconds."""
        features = frozen.features(self._batches)
        if not distributed.is_main():
            return {}
        row_of = torch.full((self._num_frames,), -1)
        row_of[features.rows] = torch.arange(len(features.rows))
        accuracy = {}
        for distance, pairs in self._pairs.items():
            queries, gallery = features.values[row_of[torch.tensor(pairs).T]]
            accuracy[f"{distance:g}"] = rank_one(queries, gallery)
        return {"retrieval": accuracy}


def _batches(
    found: Sequence[MomentFrames | str], firsts: Sequence[int], batch_size: int
) -> list[ImageBatch]:
    """Return the readable frames with their numbers."""
    read = [(f, first) for f, first in zip(found, firsts, strict=True) if not isinstance(f, str)]
    if not read:
        return []
    images = torch.cat([torch.from_numpy(frames.images) for frames, _ in read])
    rows = torch.cat([torch.arange(first, first + len(frames.images)) for frames, first in read])
    parts = zip(rows.split(batch_size), images.split(batch_size), strict=True)
    return [
        ImageBatch(rows=rows, images=images, is_read=torch.ones(len(rows)).bool(), refused=[])
        for rows, images in parts
    ]


def _require_memory(config: MonitorConfig, draws: Sequence[Draw], *, size: int) -> float:
    """Return the GiB that the frames of all processes take; refuse more than ``max_gib``."""
    num_frames = sum(1 + len(draw.distances) for draw in draws)
    gib = num_frames * 3 * size**2 / 2**30
    if gib > config.max_gib:
        raise ConfigError(
            f"The {num_frames:,} frames of the monitor take {gib:.3g} GiB at {size} px, and "
            f"--monitor.max-gib is {config.max_gib:g}. Give a larger one, or fewer "
            "--monitor.videos."
        )
    return gib
