"""The picture of the first pairs of a training, drawn from the batch that it has just read."""

import torch
from PIL import Image
from torch import Tensor

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.data.batches import PairBatch
from vidmoco.data.source import PairSource
from vidmoco.visualize.change import change_of, crops_alone
from vidmoco.visualize.contact_sheet import Sample, draw_sheet, shown_pairs
from vidmoco.visualize.preview import gaps_of_pairs, requested_gaps

_PAIRS = 8


def sheet_of_batch(
    batch: PairBatch, views: list[Tensor], source: PairSource, config: PretrainConfig
) -> Image.Image:
    """Return the contact sheet of the first pairs of ``batch``, whose ``views`` are given.

    Args:
        batch: of this process.
        views: of it, normalised, (n, 3, s, s) each, on any device.
        source: of the batch.
        config: of the run.
    """
    large = views[: config.augment.large_views]
    pairs = shown_pairs(batch, large, source.name, most=_PAIRS)
    achieved = gaps_of_pairs(batch.pts_seconds, source, config)
    change = change_of(
        batch.frames, batch.aspect_ratios, crops_alone(config.augment), torch.Generator()
    )
    sample = Sample(pairs, requested_gaps(source, config), achieved, {}, change)
    line = f"Seed {config.seed}, batches of {config.data.batch_size}, {config.method.name}"
    return draw_sheet(sample, [line])
