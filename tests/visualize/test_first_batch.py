"""The sheet of a training's first batch shows what ``preview`` of its settings shows."""

from contextlib import closing

import numpy as np
import torch
from painted_videos import write_videos
from rich.console import Console

from vidmoco.augment.views import build_augment
from vidmoco.config.recipe import load_recipe, with_settings
from vidmoco.data.source import open_source
from vidmoco.visualize import first_batch
from vidmoco.visualize.first_batch import sheet_of_batch
from vidmoco.visualize.preview import sample_pairs


def test_it_is_what_a_preview_shows(tmp_path, monkeypatch):
    write_videos(tmp_path / "videos", 9)
    config = with_settings(
        load_recipe("tiny_cpu"),
        {
            "videos": [str(tmp_path / "videos")],
            "augment": {"size": 32},
            "data": {"batch_size": 9, "short_side": 48, "workers": 0},
            "method": {"bn_splits": 1, "queue_size": 18},
        },
    )
    source = open_source(config, resume=None, console=Console(quiet=True))
    drawn, draw = [], first_batch.draw_sheet

    def noted(sample, lines):
        drawn.append(sample)
        return draw(sample, lines)

    monkeypatch.setattr(first_batch, "draw_sheet", noted)
    with closing(source.batches(source.batching(), range(1))) as batches:
        batch = next(batches)
    generator = torch.Generator().manual_seed(config.seed)
    views = build_augment(config.augment)(batch.frames, batch.aspect_ratios, generator)
    sheet = sheet_of_batch(batch, [view.bfloat16() for view in views], source, config)
    assert sheet.width > 400 and sheet.height > 400
    (shown,), expected = drawn, sample_pairs(source, config, num_pairs=8)
    assert [pair.key for pair in shown.pairs] == [pair.key for pair in expected.pairs]
    assert len(shown.pairs) == 8
    for ours, theirs in zip(shown.pairs, expected.pairs, strict=True):
        assert ours.pts_seconds == theirs.pts_seconds
        torch.testing.assert_close(ours.views, theirs.views, atol=0.02, rtol=0.01)
    np.testing.assert_array_equal(shown.asked_gaps, expected.asked_gaps)
    np.testing.assert_array_equal(shown.achieved_gaps, expected.achieved_gaps[:9])
