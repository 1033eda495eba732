import re

import numpy as np
import pytest
import torch

from vidmoco.cli.flags import parse
from vidmoco.config.augment import AugmentConfig
from vidmoco.config.commands import PretrainCommand
from vidmoco.visualize.change import (
    Change,
    change_of,
    crops_alone,
    describe_change,
    difference,
    flags_for_much_change,
    joined,
)


def pictures(seed, n=3, side=32):
    """Smooth random pictures."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 8, 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear") * 255


def changes(of_time, of_crop=(1.0,) * 4):
    return Change(np.array(of_time, np.float32), np.array(of_crop, np.float32))


def test_difference_is_1_minus_the_correlation_of_16_x_16_grey_pictures():
    a, b = pictures(0), pictures(1)
    grey = [
        (one * torch.tensor([0.2989, 0.587, 0.114])[:, None, None]).sum(1).numpy() for one in (a, b)
    ]
    small = [one.reshape(3, 16, 2, 16, 2).mean((2, 4)).reshape(3, -1) for one in grey]
    expected = [1 - np.corrcoef(x, y)[0, 1] for x, y in zip(*small, strict=True)]
    assert difference(a, b).numpy() == pytest.approx(expected, abs=1e-5)


def test_exposure_is_no_change_and_flat_pictures_are_equal():
    a = pictures(0)
    assert difference(a, 0.5 * a + 20).numpy() == pytest.approx(0, abs=1e-5)
    black = torch.zeros(2, 3, 32, 32)
    assert difference(black, black + 7).tolist() == [0, 0]
    assert difference(black, pictures(0, n=2)).tolist() == [1, 1]
    assert difference(a, 255 - a).numpy() == pytest.approx(2, abs=1e-5)


def test_still_pairs_and_pairs_that_differ():
    still = pictures(0, n=6).to(torch.uint8)
    frames = torch.stack([still, torch.cat([still[:3], pictures(9, n=3).to(torch.uint8)])], dim=1)
    config = AugmentConfig(size=32, shared=("crop",), small_crops=2, blur_probability=1.0)
    found = change_of(frames, torch.ones(6), crops_alone(config), torch.Generator().manual_seed(0))
    assert found.of_time[:3] == pytest.approx(0, abs=1e-5) and (found.of_time[3:] > 0.3).all()
    assert (found.of_crop > 0.01).all()  # crops are drawn apart even if the training shares them
    assert found.share_nearly_equal == 0.5
    whole = AugmentConfig(size=32, crop_scale=(1.0, 1.0))
    generator = torch.Generator().manual_seed(0)
    uncropped = change_of(frames, torch.ones(6), crops_alone(whole), generator)
    assert np.median(uncropped.of_crop) < 0.1 * np.median(found.of_crop)


def test_ratio_and_share():
    found = changes([0.05, 0.05, 0.3, 0.4])
    assert found.ratio == pytest.approx(0.2)
    assert found.share_nearly_equal == 0.5
    both = joined([found, changes([2.0], [1.0])])
    assert len(both.of_time) == 5 and both.share_nearly_equal == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("of_time", "expected"),
    [
        ([0, 0, 0, 1], "In 75% of these pairs the second frame is nearly the first: expect pairs "
         "to do as single frames"),
        ([0, 0, 1, 1], "In 50% of these pairs .*: expect a small gain"),
        ([1, 1, 1, 1], "In 0% of these pairs .*: expect pairs to do better"),
    ],
)  # fmt: skip
def test_words(of_time, expected):
    lines = describe_change(changes(of_time), any_gap=None)
    assert len(lines) == 2 and re.match(expected, lines[1])


@pytest.mark.parametrize(
    ("recipe", "frames"), [("vidmoco", 4), ("simclr_small", 2), ("moco_v2", 4)]
)
def test_what_pays_where_time_changes_much_is_named(recipe, frames):
    words = ["videos", "--recipe", recipe]
    flags = flags_for_much_change(parse(PretrainCommand, words, prog="").config)
    much, little = changes([1, 1, 1, 1]), changes([0, 0, 1, 1])
    *_, line = describe_change(much, any_gap=None, flags=flags)
    config = parse(PretrainCommand, words + line[line.index("--") :].split(), prog="").config
    assert config.data.frames_per_video == config.augment.large_views == frames
    assert config.augment.crop_scale == (0.5, 1.0)
    assert flags_for_much_change(config) == []
    assert len(describe_change(little, any_gap=None, flags=flags)) == 2


def test_a_longer_gap_is_named_if_it_shows_more():
    near = changes([0, 0, 0, 1])
    lines = describe_change(near, any_gap=changes([0, 1, 1, 1]))
    assert lines[2].startswith("With any gap (--data.max-gap None) it is 25%, and time changes")
    assert len(describe_change(near, any_gap=near)) == 2


def test_nothing_is_expected_where_a_warning_says_so():
    much = changes([1, 1, 1, 1])
    flags = ["--augment.crop-scale 0.5 1"]
    lines = describe_change(much, any_gap=None, flags=flags, expects_gain=False)
    assert len(lines) == 2 and lines[1].endswith("the second frame is nearly the first")
