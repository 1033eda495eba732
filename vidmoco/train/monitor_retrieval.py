"""How often a frame's nearest one is of the same video: no labels, and other times of it to find.

video A   ──q────a──        q: the query; a: the frame of the gallery, some time later
video B   q────b────        right: of all a, b, c … the nearest to A's q is a
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
from vidmoco.train.monitor_backbone import FrozenCopy

# Keeps these random numbers apart from those of the order and of the pairs.
_RETRIEVAL = 4
_SHOWN_FAILURES = 3


@dataclass(frozen=True)
class Draw:
    """A video, the time of its query, and the distances at which it is to be found."""

    row: int
    start: float
    distances: tuple[float, ...]

    @property
    def moment(self) -> Moment:
        """The query's time, and those of the gallery."""
        return Moment(self.row, (self.start, *(self.start + d for d in self.distances)))


def draw_videos(
    durations: Float64[np.ndarray, " videos"],
    *,
    distances: Sequence[float],
    num_videos: int,
    seed: int,
) -> list[Draw]:
    """Return ``num_videos`` videos for each distance, of those that are longer, by row.

    The videos are taken in one random order, so that those of several distances are mostly the
    same; the query's time is uniform over what the longest distance leaves.
    """
    of: dict[int, list[float]] = {}
    order = np.random.default_rng((seed, _RETRIEVAL)).permutation(len(durations))
    for distance in sorted(distances):
        for row in order[durations[order] > distance][:num_videos].tolist():
            of.setdefault(row, []).append(distance)
    return [
        Draw(row, _start(float(durations[row]) - max(chosen), row=row, seed=seed), tuple(chosen))
        for row, chosen in sorted(of.items())
    ]


def _start(latest: float, *, row: int, seed: int) -> float:
    return latest * float(np.random.default_rng((seed, _RETRIEVAL, row)).random())


def rank_one(queries: Float[Tensor, "n d"], gallery: Float[Tensor, "n d"]) -> float:
    """Return the percentage of queries whose nearest of the gallery, by cosine, is their own."""
    nearest = (normalize(queries, dim=1) @ normalize(gallery, dim=1).T).argmax(dim=1)
    return 100 * int((nearest == torch.arange(len(queries))).sum()) / len(queries)


class RetrievalProbe:
    """Frames of some videos in memory, uint8 and resized: those of this process."""

    def __init__(
        self, config: MonitorConfig, source: PairSource, preprocess: Preprocess, *, console: Console
    ) -> None:
        """Draw the videos and read their frames.

        Raises:
            ConfigError: too few videos are long enough and can be read, or there is too little
                memory.
        """
        durations = source.durations
        draws = draw_videos(
            durations, distances=config.distances, num_videos=config.videos, seed=config.seed
        )
        gib = _require_memory(config, draws, size=preprocess.size)
        # Frames are numbered through all videos, the query of each before its gallery.
        firsts = list(accumulate((1 + len(draw.distances) for draw in draws), initial=0))
        own = distributed.shard(len(draws))
        say(console, f"Monitor: reading frames of {len(draws):,} videos …")
        found = source.read_moments([draws[n].moment for n in own], preprocess=preprocess)
        self._batches = _batches(found, firsts[own.start : own.stop], config.batch_size)
        self._num_frames = firsts[-1]
        # By distance: the numbers of queries and of what they are to find.
        self._pairs: dict[float, list[tuple[int, int]]] = {d: [] for d in sorted(config.distances)}
        failures = []
        shown = [s if isinstance(s, str) else s.pts_seconds.tolist() for s in found]
        everywhere = [one for some in distributed.gather_objects(shown) for one in some]
        for draw, first, pts in zip(draws, firsts[:-1], everywhere, strict=True):
            if isinstance(pts, str):
                failures.append(f"{source.name(draw.row)!r}: {pts}")
                continue
            for n, distance in enumerate(draw.distances, start=1):
                if pts[n] > pts[0]:  # else it is one frame, of a video with few
                    self._pairs[distance].append((first, first + n))
        self._say(config, durations, failures, gib=gib, console=console)

    def _say(
        self,
        config: MonitorConfig,
        durations: Float64[np.ndarray, " videos"],
        failures: list[str],
        *,
        gib: float,
        console: Console,
    ) -> None:
        """Leave out what cannot be measured, and print what is."""
        lacking = [distance for distance, pairs in self._pairs.items() if len(pairs) < 2]
        for distance in lacking:
            del self._pairs[distance]
        asked = ", ".join(f"{distance:g}" for distance in config.distances)
        if not self._pairs:
            raise ConfigError(
                f"--monitor.distances is {asked} s, and fewer than two videos have frames so far "
                f"apart that can be read; the longest lasts {durations.max():.3g} s. Give shorter "
                "ones, or no --monitor.retrieval."
                + (f" Cannot be read: {failures[0]}" if failures else "")
            )
        kept = ", ".join(f"{d:g} s ({len(pairs)} videos)" for d, pairs in self._pairs.items())
        lines = [f"Monitor: the same video at rank 1 at {kept}; {gib:.2g} GiB of memory"]
        lines += [
            f"  {distance:g} s is left out: fewer than two videos have frames so far apart"
            for distance in lacking
        ]
        if failures:
            lines.append(f"  {len(failures)} videos cannot be read and are left out:")
            lines += [f"    {failure}" for failure in failures[:_SHOWN_FAILURES]]
        say(console, *lines)

    def __call__(self, frozen: FrozenCopy) -> dict[str, dict[str, float]]:
        """Return ``retrieval``: rank-1 in percent, by seconds of distance; on the main process."""
        features = frozen.features(self._batches)
        if not distributed.is_main():
            return {}
        place = torch.full((self._num_frames,), -1)
        place[features.rows] = torch.arange(len(features.rows))
        found = {}
        for distance, pairs in self._pairs.items():
            queries, gallery = features.values[place[torch.tensor(pairs).T]]
            found[f"{distance:g}"] = rank_one(queries, gallery)
        return {"retrieval": found}


def _batches(
    found: Sequence[MomentFrames | str], firsts: Sequence[int], batch_size: int
) -> list[ImageBatch]:
    """Return the frames that could be read, with their numbers."""
    read = [(s, first) for s, first in zip(found, firsts, strict=True) if not isinstance(s, str)]
    if not read:
        return []
    images = torch.cat([torch.from_numpy(still.images) for still, _ in read])
    rows = torch.cat([torch.arange(first, first + len(still.images)) for still, first in read])
    parts = zip(rows.split(batch_size), images.split(batch_size), strict=True)
    return [
        ImageBatch(rows=rows, images=images, is_read=torch.ones(len(rows)).bool(), refused=[])
        for rows, images in parts
    ]


def _require_memory(config: MonitorConfig, draws: Sequence[Draw], *, size: int) -> float:
    """Return the GiB that the frames of all processes take; refuse more than is allowed."""
    num_frames = sum(1 + len(draw.distances) for draw in draws)
    gib = num_frames * 3 * size**2 / 2**30
    if gib > config.max_gib:
        raise ConfigError(
            f"The {num_frames:,} frames of the monitor take {gib:.3g} GiB at {size} px, and "
            f"--monitor.max-gib is {config.max_gib:g}. Give more of it, or fewer --monitor.videos."
        )
    return gib
