"""The scenes: a background that tells nothing, a digit that moves, windows where they should be."""

import dataclasses
import sys

import numpy as np
import pytest
import torch

from vidmoco.demo import scene
from vidmoco.errors import ConfigError


@pytest.fixture(scope="module")
def material():
    return scene.load_material()


def test_the_splits_share_no_instance_and_hold_every_digit(material):
    train = scene.instances(material, held_out=False)
    held_out = scene.instances(material, held_out=True)
    assert sorted([*train, *held_out]) == list(range(1797))
    assert len(held_out) == 449
    for digit in range(10):
        rows = scene.instances(material, held_out=True, digit=digit)
        assert set(rows) <= set(held_out)
        assert set(material.labels[rows]) == {digit}
        assert len(rows) >= 40


def own_video_found(first, second):
    """Share of rows of ``first`` whose nearest row of ``second`` is of the same video."""
    distances = np.linalg.norm(first[:, None] - second[None], axis=-1)
    return (distances.argmin(axis=1) == np.arange(len(first))).mean()


def test_a_background_does_not_tell_the_video_a_second_later(material):
    # 8x8 thumbnails of 80 backgrounds at 0, 0.1 and 1.0 s; chance is 1 in 80.
    times = np.array([0.0, 0.1, 1.0])
    thumbnails = np.stack(
        [
            scene._draw_background(
                material.photographs, rng=np.random.default_rng(seed), times=times
            )
            .reshape(3, 8, 8, 8, 8, 3)
            .mean(axis=(2, 4))
            .reshape(3, -1)
            for seed in range(80)
        ]
    )
    now, soon, later = thumbnails.transpose(1, 0, 2)
    assert own_video_found(now, soon) > 0.5
    assert own_video_found(now, later) < 0.08


def test_the_scene_does_not_depend_on_the_digit(material):
    one, other, blank = (
        scene.render(which, instance=row, rng=np.random.default_rng(7), times=np.arange(9) / 10)
        for which, row in (
            (material, 0),
            (material, 1),
            (dataclasses.replace(material, glyphs=torch.zeros_like(material.glyphs)), 0),
        )
    )
    assert not np.array_equal(one, other)
    # The corners that no digit reaches: the bare background, under a 0 as under a 1.
    for frames in (one, other):
        same = (frames == blank).all(axis=-1)
        assert 0.2 < same.mean() < 0.95


def test_a_digit_keeps_to_the_frame_moves_scales_and_turns():
    glyph = torch.zeros(2, 72, 72)
    glyph[:, 12:60, 12:60] = 1  # ink on all of the 8x8
    times = np.arange(30) / 10
    for seed in range(10):
        stroke, _, ink = scene._draw_digit(glyph, rng=np.random.default_rng(seed), times=times)
        area = stroke.mean(axis=(1, 2, 3))
        assert area.min() > 0.9 * scene.DIGIT_SIZE[0] ** 2  # nothing of it is cut off
        assert area.max() < 1.05 * scene.DIGIT_SIZE[1] ** 2
        assert area.max() > 1.3 * area.min()
        columns = (stroke.mean(axis=(1, 3)) * np.arange(64)).sum(1) / stroke.mean(axis=(1, 3)).sum(
            1
        )
        assert np.ptp(columns) > 2
        assert np.ptp(ink, axis=0).min() > 0.5 * (scene.INK[1] - scene.INK[0])


def test_a_digit_turns_to_both_sides_but_not_far():
    glyph = torch.zeros(2, 72, 72)
    glyph[:, 12:60, 32:40] = 1  # an upright bar
    extremes = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        stroke, _, _ = scene._draw_digit(glyph, rng=rng, times=np.arange(30) / 10)
        y, x = np.mgrid[:64, :64]
        weight = stroke[..., 0] / stroke.sum(axis=(1, 2))[:, :, None]
        dx = x - (weight * x).sum(axis=(1, 2), keepdims=True)
        dy = y - (weight * y).sum(axis=(1, 2), keepdims=True)
        xx, yy, xy = ((weight * m).sum(axis=(1, 2)) for m in (dx * dx, dy * dy, dx * dy))
        angles = np.rad2deg(np.arctan2(2 * xy, yy - xx) / 2)  # of the longer axis, 0: upright
        extremes.append((angles.min(), angles.max()))
    low, high = np.transpose(extremes)
    # Three seconds hold at least one swing; 1 degree for the pixels.
    assert low.min() == pytest.approx(-scene.DIGIT_TURN, abs=1)
    assert low.max() == pytest.approx(-scene.DIGIT_TURN, abs=2)
    assert high.max() == pytest.approx(scene.DIGIT_TURN, abs=1)
    assert high.min() == pytest.approx(scene.DIGIT_TURN, abs=2)


def sampled(image, *, centre=(0.5, 0.5), side=1.0, tilt=0.0, mirror=False):
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    return scene._sample_windows(
        tensor,
        centre=(np.array([centre[0]]), np.array([centre[1]])),
        side=np.array([side]),
        tilt=np.array([tilt]),
        mirror=mirror,
    )[0]


def test_a_window_is_the_part_of_the_image_that_was_asked_for():
    image = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    assert sampled(image) == pytest.approx(image, abs=1e-4)
    assert sampled(image, mirror=True) == pytest.approx(image[:, ::-1], abs=1e-4)
    # A quarter turn clockwise of the window turns what is seen anticlockwise.
    turned = sampled(image, tilt=np.pi / 2)
    assert turned == pytest.approx(np.rot90(image), abs=1e-3)
    wide = np.random.default_rng(1).random((128, 256, 3), dtype=np.float32)
    corner = sampled(wide, centre=(224 / 256, 32 / 128), side=64 / 256)
    assert corner == pytest.approx(wide[:64, 192:], abs=1e-4)


def test_a_window_stays_on_the_photograph(material):
    bright = tuple(tuple(torch.ones_like(level) for level in p) for p in material.photographs)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shot = scene._draw_shot(bright, rng=rng, phase=np.linspace(0, 1, 4))
        assert shot.min() == pytest.approx(shot.max())  # no black beyond an edge
        assert scene.GAIN[0] <= shot.max() <= scene.GAIN[1]


def test_scikit_learn_missing_is_said_with_the_cure(monkeypatch):
    scene.load_material.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'vidmoco\[eval\]'"):
        scene.load_material()
