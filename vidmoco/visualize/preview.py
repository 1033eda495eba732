"""``vidmoco preview``: draw the first pairs of a run, their views and their gaps.

Pairs and views are exactly those of ``pretrain`` with the same settings.
"""

from contextlib import closing
from dataclasses import replace
from math import ceil

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from vidmoco.augment.views import build_augment
from vidmoco.config.commands import PreviewCommand
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.console import say
from vidmoco.data.order import BatchOrder, Place
from vidmoco.data.sampling import PairPlan, pair_rule
from vidmoco.data.source import PairSource, open_source
from vidmoco.shapes import Float64
from vidmoco.text import counted
from vidmoco.urls import expanded
from vidmoco.video.catalog import Catalog
from vidmoco.visualize.change import (
    Change,
    change_of,
    crops_alone,
    describe_change,
    flags_for_much_change,
    joined,
)
from vidmoco.visualize.contact_sheet import (
    Sample,
    ShownPair,
    describe_gaps,
    draw_sheet,
    gaps_of,
    shown_pairs,
)
from vidmoco.visualize.png_file import require_png, save_png

# Videos whose gaps are counted. The requested gaps cost nothing; the achieved ones need decoding.
NUM_ASKED, NUM_READ = 2000, 256


def preview(command: PreviewCommand, catalog: Catalog | None = None) -> int:
    """Write the picture, print its numbers and return exit code 0.

    ``catalog`` is that of the videos, if they were looked at before.

    Raises:
        ConfigError: there is no video, or the output cannot be used.
        VideoError: too many videos in a row cannot be read.
    """
    config, output = command.config, expanded(command.output)
    require_png(output)
    source = open_source(config, resume=None, console=Console(stderr=True), catalog=catalog)
    lines = [
        f"Recipe {command.recipe}, seed {config.seed}, {_amount(source)}, batches of "
        f"{config.data.batch_size}"
    ]
    sample = sample_pairs(source, config, num_pairs=command.pairs)
    if sample.failures:
        lines.append(f"{len(sample.failures)} videos could not be read and were replaced")
    warning = source.warning()
    lines += [note for note in (warning, source.gap_note()) if note]
    save_png(draw_sheet(sample, lines), output)
    console = Console()
    say(console, *lines, *source.failure_lines(sample.failures), *describe_gaps(sample))
    if source.has_time and not config.data.single_frame:
        far = replace(config, data=replace(config.data, max_gap=None))
        any_gap = None
        if config.data.max_gap is not None:
            any_gap = sample_pairs(replace(source, config=far), far, num_pairs=0).change
        flags = flags_for_much_change(config)
        change = describe_change(
            sample.change, any_gap=any_gap, flags=flags, expects_gain=not warning
        )
        say(console, *change)
    say(console, f"{output}: {command.pairs} pairs")
    return 0


def _amount(source: PairSource) -> str:
    if not source.has_time:
        return counted(len(source.durations), "image")
    return f"{counted(len(source.durations), 'video')}, {counted(len(source.sources), 'segment')}"


def sample_pairs(source: PairSource, config: PretrainConfig, *, num_pairs: int) -> Sample:
    """Return the first pairs of the run of ``config``, and the gaps and changes of more pairs.

    Whole batches are read, because the random numbers of views are drawn per batch.

    Raises:
        VideoError: a video and all its replacements cannot be read.
    """
    batching = source.batching()
    batch_size = batching.batch_size
    batches = source.batches(batching, range(ceil(max(num_pairs, NUM_READ) / batch_size)))
    augment = build_augment(config.augment)
    generator = torch.Generator().manual_seed(config.seed)  # as in pretrain
    crops, own = crops_alone(config.augment), torch.Generator().manual_seed(config.seed)
    changes: list[Change] = []
    pairs: list[ShownPair] = []
    achieved: list[Float64[np.ndarray, " gaps"]] = []
    failures: dict[int, str] = {}
    with closing(batches):
        for batch in batches:
            frames, aspects = batch.frames, batch.aspect_ratios
            achieved.append(gaps_of_pairs(batch.pts_seconds, source, config))
            failures.update(batch.failures)
            changes.append(change_of(frames, aspects, crops, own))
            missing = num_pairs - len(pairs)
            if missing > 0:
                large = augment(frames, aspects, generator)[: config.augment.large_views]
                pairs += shown_pairs(batch, large, source.name, most=missing)
    gaps = requested_gaps(source, config)
    return Sample(pairs, gaps, np.concatenate(achieved), failures, joined(changes))


def gaps_of_pairs(
    times: Float64[Tensor, "n f"], source: PairSource, config: PretrainConfig
) -> Float64[np.ndarray, " gaps"]:
    """Return the gaps in seconds of the pairs of a batch, or none for images."""
    views = config.augment.large_views + config.augment.small_crops
    return gaps_of(times.numpy(), views if source.has_time else 1)


def requested_gaps(source: PairSource, config: PretrainConfig) -> Float64[np.ndarray, " asked"]:
    """Return the gaps in seconds that the first ``NUM_ASKED`` videos of a run ask for."""
    if not source.has_time:
        return np.zeros(0)
    batching, batch_size = source.batching(), config.data.batch_size
    order = BatchOrder(batching, seed=config.seed)
    plan = PairPlan(order, source.sources, rule=pair_rule(config.data), seed=config.seed)
    requested = []
    for step in range(ceil(NUM_ASKED / batch_size)):
        requested += [next(plan.moments(Place(step, n))).times for n in range(batch_size)]
    return gaps_of_pairs(torch.tensor(requested, dtype=torch.float64), source, config)
