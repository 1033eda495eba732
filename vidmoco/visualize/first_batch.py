"""The picture of the first pairs of a training, drawn from the batch that it has just read."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.data.batches import PairBatch
from vidmoco.data.source import PairSource
from vidmoco.visualize.change import change_of, crops_alone
from vidmoco.visualize.contact_sheet import Sample, ShownPair, draw_sheet
from vidmoco.visualize.preview import requested_gaps

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
    times = batch.pts_seconds
    two = [view[:_PAIRS].float().cpu() for view in views[:2]]
    pairs = [
        ShownPair(
            source.name(int(batch.rows[n])),
            float(batch.aspect_ratios[n]),
            (float(times[n, 0]), float(times[n, 1])),
            batch.frames[n, :2],
            torch.stack([view[n] for view in two]),
        )
        for n in range(min(_PAIRS, len(batch.frames)))
    ]
    achieved = (times.max(dim=1).values - times.min(dim=1).values).numpy()
    change = change_of(
        batch.frames, batch.aspect_ratios, crops_alone(config.augment), torch.Generator()
    )
    sample = Sample(pairs, requested_gaps(source, config), np.asarray(achieved), {}, change)
    line = f"Seed {config.seed}, batches of {config.data.batch_size}, {config.method.name}"
    return draw_sheet(sample, [line])
