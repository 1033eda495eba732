"""The batched ops of the colour jitter against torchvision's, one factor a sample."""

import pytest
import torch
import torchvision.transforms.v2.functional as tv
from hypothesis import given, settings
from hypothesis import strategies as st

from vidmoco.augment import color

FACTOR_OPS = {
    "brightness": (color.adjust_brightness, tv.adjust_brightness),
    "contrast": (color.adjust_contrast, tv.adjust_contrast),
    "saturation": (color.adjust_saturation, tv.adjust_saturation),
}


def all_colours(levels=9):
    """Every colour of a few levels a channel, extremes, greys and ties of two channels included."""
    axis = torch.linspace(0, 1, levels)
    return torch.cartesian_prod(axis, axis, axis).T.reshape(3, levels, levels**2)


def noisy_batch(n, seed=0):
    return torch.rand(n, 3, 12, 10, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", FACTOR_OPS)
def test_a_factor_a_sample_as_torchvision(name):
    batched, one = FACTOR_OPS[name]
    factors = torch.tensor([0.0, 0.3, 0.6, 1.0, 1.4, 2.0])
    for images in (noisy_batch(6), all_colours().expand(6, 3, 9, 81)):
        expected = torch.stack([one(x, f.item()) for x, f in zip(images, factors, strict=True)])
        torch.testing.assert_close(batched(images.clone(), factors), expected, atol=1e-6, rtol=0)


def test_results_are_clamped_to_the_unit_range():
    images = noisy_batch(3)
    for batched, _ in FACTOR_OPS.values():
        changed = batched(images.clone(), torch.full((3,), 2.0))
        assert changed.min() == 0 or batched is color.adjust_brightness
        assert changed.max() == 1


def test_hue_as_torchvision():
    turns = torch.tensor([-0.5, -0.4, -0.1, -0.01, 0.0, 1 / 12, 1 / 6, 0.25, 1 / 3, 0.5])
    for images in (noisy_batch(10), all_colours().expand(10, 3, 9, 81)):
        expected = torch.stack(
            [tv.adjust_hue(x, t.item()) for x, t in zip(images, turns, strict=True)]
        )
        torch.testing.assert_close(
            color.adjust_hue(images.clone(), turns), expected, atol=3e-6, rtol=0
        )


@settings(max_examples=100, deadline=None)
@given(
    pixel=st.tuples(*[st.floats(0, 1, width=32)] * 3),
    turn=st.floats(-0.5, 0.5, width=32),
)
def test_hue_of_any_pixel(pixel, turn):
    image = torch.tensor(pixel).view(1, 3, 1, 1)
    changed = color.adjust_hue(image.clone(), torch.tensor([turn]))
    assert changed.isfinite().all()
    # Value and HSV saturation stay.
    assert changed.max().item() == pytest.approx(max(pixel), abs=1e-6)
    assert changed.min().item() == pytest.approx(min(pixel), abs=1e-6)
    back = color.adjust_hue(changed, torch.tensor([-turn]))
    torch.testing.assert_close(back, image, atol=1e-5, rtol=0)


def test_hue_turns_red_to_green_to_blue():
    red, green, blue = torch.eye(3).view(3, 1, 3, 1, 1)
    third = torch.tensor([1 / 3])
    torch.testing.assert_close(color.adjust_hue(red.clone(), third), green, atol=1e-6, rtol=0)
    torch.testing.assert_close(color.adjust_hue(green.clone(), third), blue, atol=1e-6, rtol=0)
    torch.testing.assert_close(color.adjust_hue(green.clone(), -third), red, atol=1e-6, rtol=0)


def test_luma_as_torchvision():
    images = noisy_batch(4)
    torch.testing.assert_close(color.luma(images), tv.rgb_to_grayscale(images))


def test_the_order_of_the_ops_is_that_of_color_jitter_arguments():
    names = [op.__name__.removeprefix("adjust_") for op in color.JITTER_OPS]
    assert names == ["brightness", "contrast", "saturation", "hue"]


def test_solarize_as_torchvision_to_the_bit():
    thresholds = torch.tensor([0.0, 0.3, 128 / 255, 1.0])
    for images in (noisy_batch(4), all_colours(17).expand(4, 3, 17, 289)):
        expected = [tv.solarize(x, t.item()) for x, t in zip(images, thresholds, strict=True)]
        result = color.solarize(images.clone(), thresholds)
        torch.testing.assert_close(result, torch.stack(expected), atol=0, rtol=0)


def test_solarize_inverts_the_levels_that_it_inverts_in_uint8():
    levels = torch.arange(256, dtype=torch.uint8).expand(1, 3, 2, 256).contiguous()
    result = color.solarize(levels / 255, torch.tensor([128 / 255]))
    assert torch.equal((result * 255).round().to(torch.uint8), tv.solarize(levels, 128))
