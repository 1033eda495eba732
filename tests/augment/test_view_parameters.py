"""The drawn parameters against their laws."""

import math
from dataclasses import fields
from itertools import permutations

import pytest
import torch
from drawn_views import V2_DRAW, draw, generator
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.augment import resized_crop_boxes

from vidmoco.augment.view_parameters import draw_view

N = 6000


def test_settings_do_not_move_the_crops_and_flips():
    a = draw(16)
    b = draw(
        16,
        jitter_probability=1.0,
        blur_probability=0.0,
        jitter_strengths=(0, 0, 0, 0.4),
        solarize_probability=0.2,
    )
    assert torch.equal(a.boxes, b.boxes)
    assert torch.equal(a.flip, b.flip)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    aspect=st.floats(0.05, 20),
    least=st.floats(0.01, 1),
    greatest=st.floats(0.01, 1),
)
def test_any_crop_lies_in_the_picture(seed, aspect, least, greatest):
    least, greatest = sorted((least, greatest))
    boxes = draw(20, aspect=aspect, seed=seed, crop_scale=(least, greatest)).boxes
    left, top, width, height = boxes.unbind(1)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] > 0).all()
    assert (left + width <= 1 + 1e-12).all()
    assert (top + height <= 1 + 1e-12).all()
    # The true shape is always an allowed one; the area is, too, unless no try fitted.
    shape = width * float(torch.tensor(aspect)) / height
    assert ((shape > 3 / 4 - 1e-9) & (shape < 4 / 3 + 1e-9)).all()
    area = width * height
    central = ((left - (1 - width) / 2).abs() < 1e-9) & ((top - (1 - height) / 2).abs() < 1e-9)
    assert (((area > least - 1e-9) & (area < greatest + 1e-9)) | central).all()


@pytest.mark.parametrize(
    ("aspect", "scale"),
    [(16 / 9, (0.2, 1.0)), (0.5, (0.2, 1.0)), (1.0, (0.08, 1.0)), (3.0, (0.3, 0.9))],
)
def test_crops_follow_torchvisions_law(aspect, scale):
    count = 3000
    ours = draw(count, aspect=aspect, crop_scale=scale).boxes
    theirs = resized_crop_boxes(aspect, scale, count=count, seed=0)
    # Kolmogorov-Smirnov; two samples of 3000 of one law exceed 0.05 once in a thousand times.
    for name, of in {
        "left": lambda b: b[:, 0],
        "top": lambda b: b[:, 1],
        "area": lambda b: b[:, 2] * b[:, 3],
        "shape": lambda b: b[:, 2] / b[:, 3],
        "right": lambda b: b[:, 0] + b[:, 2],
    }.items():
        # Off the ties of rounding and of the fallback: theirs are whole pixels of 2000.
        assert kolmogorov_smirnov(of(ours), of(theirs), tie=2e-3) < 0.05, name


def kolmogorov_smirnov(a, b, *, tie):
    """The distance of two samples' distribution functions; values closer than ``tie`` are equal."""
    a, b = a.sort().values, b.sort().values
    at = torch.cat([a, b])
    below = [torch.searchsorted(s, at - tie) / len(s) for s in (a, b)]
    above = [torch.searchsorted(s, at + tie) / len(s) for s in (a, b)]
    return torch.maximum(below[0] - above[1], below[1] - above[0]).max().item()


@pytest.mark.parametrize(("aspect", "width", "height"), [(4.0, 1 / 3, 1.0), (0.25, 1.0, 1 / 3)])
def test_where_no_try_fits_the_largest_crop_in_the_middle(aspect, width, height):
    boxes = draw(5, aspect=aspect, crop_scale=(0.9, 1.0)).boxes
    expected = torch.tensor([(1 - width) / 2, (1 - height) / 2, width, height]).double()
    torch.testing.assert_close(boxes, expected.expand(5, 4), atol=1e-7, rtol=0)


def test_laws_of_flip_jitter_grey_blur_and_solarize():
    p = draw(N, solarize_probability=0.3)
    bound = 4 * math.sqrt(0.25 / N)  # four standard deviations
    for mask, probability in [
        (p.flip, 0.5),
        (p.jitter, 0.8),
        (p.grayscale, 0.2),
        (p.blur, 0.5),
        (p.solarize, 0.3),
    ]:
        assert abs(mask.float().mean() - probability) < bound
    strengths = torch.tensor([0.4, 0.3, 0.2, 0.1])
    unit = (p.jitter_factors - torch.tensor([1.0, 1, 1, 0]) + strengths) / (2 * strengths)
    for value in (*unit.unbind(1), (p.blur_sigma - 0.1) / 1.9):
        assert value.min() > -1e-6
        assert value.max() < 1 + 1e-6
        uniform = (torch.arange(N) + 0.5) / N
        assert (value.sort().values - uniform).abs().max() < 0.025  # KS: once in a thousand times
    orders = {order: 0 for order in permutations(range(4))}
    for order in p.jitter_order.tolist():
        orders[tuple(order)] += 1
    expected = N / 24
    chi_square = sum((count - expected) ** 2 / expected for count in orders.values())
    assert chi_square < 50  # 23 degrees of freedom: once in a thousand times


def test_draws_of_a_sample_are_independent():
    p = draw(N, solarize_probability=0.5)
    columns = [
        p.boxes[:, 0] / (1 - p.boxes[:, 2]),
        p.boxes[:, 1] / (1 - p.boxes[:, 3]),
        p.boxes[:, 2] * p.boxes[:, 3],
        *[mask.double() for mask in (p.flip, p.jitter, p.grayscale, p.blur, p.solarize)],
        *p.jitter_factors.double().unbind(1),
        p.jitter_order[:, 0].double(),
        p.blur_sigma.double(),
    ]
    columns = torch.stack(columns)
    columns = columns[:, columns.isfinite().all(0)]
    correlation = torch.corrcoef(columns) - torch.eye(len(columns))
    assert correlation.abs().max() < 5 / math.sqrt(N)
    # ... and so are neighbours in the batch.
    lagged = torch.corrcoef(torch.cat([columns[:, 1:], columns[:, :-1]]))
    assert lagged[: len(columns), len(columns) :].abs().max() < 5 / math.sqrt(N)


def test_a_factor_is_never_negative():
    p = draw(500, jitter_strengths=(2.0, 1.0, 1.5, 0.5))
    assert (p.jitter_factors[:, :3] >= 0).all()
    assert p.jitter_factors[:, 0].max() > 2.5
    assert p.jitter_factors[:, 3].min() < -0.45


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_bad_aspect_ratio_is_refused(bad):
    with pytest.raises(ValueError, match=f"aspect ratio is {bad}; expected displayed width"):
        draw_view(generator(), aspect_ratios=torch.tensor([1.0, bad]), **V2_DRAW)


def test_parameters_of_some_samples():
    p = draw(9)
    for field in fields(p):
        assert torch.equal(getattr(p[2:5], field.name), getattr(p, field.name)[2:5])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), probability=st.floats(0, 1))
def test_solarize_follows_its_probability(seed, probability):
    share = draw(2000, seed=seed, solarize_probability=probability).solarize.double().mean()
    # Hoeffding: farther than 0.06 once in a million times.
    assert abs(share - probability) < 0.06
    assert probability not in (0, 1) or share == probability


def test_a_view_draws_36_numbers_a_sample_whatever_the_settings():
    # Crop 10 + 10 + 2, flip, jitter 1 + 4 + 4, grey, blur 2, solarize.
    expected = generator()
    torch.rand(7 * 36, generator=expected, dtype=torch.float64)
    for changes in ({}, {"solarize_probability": 0.5, "blur_probability": 0.0}):
        source = generator()
        draw_view(source, aspect_ratios=torch.ones(7), **(V2_DRAW | changes))
        assert torch.equal(source.get_state(), expected.get_state())
