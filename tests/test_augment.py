"""The drawn parameters against their laws, the views against torchvision's, one by one."""

import math
from dataclasses import fields, replace
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.augment import MEAN, STD, one_view, resized_crop_boxes

from vidmoco import augment
from vidmoco.augment import apply_view, build_augment, draw_view
from vidmoco.config import AugmentConfig

V1 = AugmentConfig(
    size=32, hue=0.4, jitter_probability=1.0, blur_probability=0.0, grayscale_first=True
)
V2 = AugmentConfig(size=32)
V2_DRAW = dict(
    crop_scale=(0.2, 1.0),
    flip_probability=0.5,
    jitter_probability=0.8,
    jitter_strengths=(0.4, 0.3, 0.2, 0.1),
    grayscale_probability=0.2,
    blur_probability=0.5,
    blur_sigma=(0.1, 2.0),
)
H, W = 40, 60


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(n, *, aspect=W / H, seed=0, **changes):
    aspects = torch.full((n,), float(aspect))
    return draw_view(generator(seed), aspect_ratios=aspects, **(V2_DRAW | changes))


def noise(n, *, h=H, w=W):
    return torch.randint(0, 256, (n, 3, h, w), dtype=torch.uint8, generator=generator(1))


def denormalized(view):
    return view * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)


def on_whole_pixels(parameters):
    """The same parameters with boxes of whole pixels on the canvas, and these boxes."""
    canvas = torch.tensor([W, H, W, H])
    boxes = (parameters.boxes * canvas).floor()
    boxes[:, 2:].clamp_(min=1)
    return replace(parameters, boxes=boxes / canvas), boxes.int().tolist()


@pytest.mark.parametrize("grayscale_first", [True, False])
@pytest.mark.parametrize("size", [24, 32])
def test_views_as_torchvision_one_by_one(size, grayscale_first):
    n = 21  # more than one chunk, not a multiple of it
    assert n % augment.CPU_CHUNK and n > augment.CPU_CHUNK
    frames = noise(n)
    parameters, boxes = on_whole_pixels(draw(n, jitter_strengths=(0.4, 0.4, 0.4, 0.4)))
    views = apply_view(frames, parameters, size=size, grayscale_first=grayscale_first)
    assert views.dtype == torch.float32
    assert views.is_contiguous(memory_format=torch.channels_last)
    for i in range(n):
        expected = one_view(
            frames[i],
            box=boxes[i],
            parameters=parameters[i : i + 1],
            size=size,
            grayscale_first=grayscale_first,
            kernel_size=3,
        )
        # Errors of 1e-6 in [0, 1], times the contrasts, over a std of 0.22.
        torch.testing.assert_close(views[i], expected, atol=1e-4, rtol=0)


def test_the_batch_is_as_its_samples_alone():
    frames, parameters = noise(12), draw(12)
    whole = apply_view(frames, parameters, size=32, grayscale_first=False)
    for i in range(12):
        alone = apply_view(frames[i : i + 1], parameters[i : i + 1], size=32, grayscale_first=False)
        torch.testing.assert_close(whole[i : i + 1], alone, atol=1e-4, rtol=0)


def test_chunks_change_nothing(monkeypatch):
    frames, parameters = noise(20), draw(20)
    views = []
    for chunk in (3, 1000):
        monkeypatch.setattr(augment, "CPU_CHUNK", chunk)
        views.append(apply_view(frames, parameters, size=32, grayscale_first=False))
    torch.testing.assert_close(views[0], views[1], atol=1e-4, rtol=0)


def test_autocast_does_not_reach_the_pixels():
    frames, parameters = noise(8), draw(8)
    expected = apply_view(frames, parameters, size=32, grayscale_first=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        views = apply_view(frames, parameters, size=32, grayscale_first=False)
    torch.testing.assert_close(views, expected, atol=0, rtol=0)


def test_the_device_is_never_asked_for_a_value(monkeypatch):
    # Tensors of the meta device have no values: what would read one from a GPU raises here.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: torch.no_grad())
    views = apply_view(noise(12).to("meta"), draw(12), size=32, grayscale_first=False)
    assert views.device.type == "meta"


def test_v1_and_v2_differ_in_order():
    frames = noise(6)
    # A grey view: what a hue shift of the coloured frame does to its luma shows in v2 only.
    changes = dict(grayscale_probability=1.0, jitter_probability=1.0, blur_probability=0.0)
    plain = draw(6, jitter_strengths=(0.0, 0.0, 0.0, 0.4), **changes)
    shifted = replace(plain, jitter_factors=plain.jitter_factors * torch.tensor([1, 1, 1, 0.0]))
    v1, v2 = (
        [apply_view(frames, p, size=32, grayscale_first=first) for p in (plain, shifted)]
        for first in (True, False)
    )
    for view in (*v1, *v2):
        red, green, blue = denormalized(view).unbind(1)
        torch.testing.assert_close(red, green, atol=1e-5, rtol=0)
        torch.testing.assert_close(red, blue, atol=1e-5, rtol=0)
    torch.testing.assert_close(v1[0], v1[1], atol=1e-5, rtol=0)
    assert (v2[0] - v2[1]).abs().amax((1, 2, 3)).min() > 0.1


def test_one_generator_state_gives_one_view():
    view = build_augment(V2)
    frames, aspects = noise(8), torch.full((8,), W / H)
    source = generator(3)
    state = source.get_state()
    first, second = view(frames, aspects, source), view(frames, aspects, source)
    assert not torch.allclose(first, second)
    source.set_state(state)
    torch.testing.assert_close(view(frames, aspects, source), first, atol=0, rtol=0)
    torch.testing.assert_close(view(frames, aspects, source), second, atol=0, rtol=0)


def test_the_global_generator_is_not_touched():
    before = torch.get_rng_state()
    build_augment(V2)(noise(4), torch.ones(4), generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_of_one_frame_get_views_of_their_own():
    frames = noise(1).expand(32, 3, H, W)
    views = build_augment(V2)(frames, torch.full((32,), W / H), generator()).flatten(1)
    distance = torch.cdist(views, views)
    assert distance[~torch.eye(32, dtype=torch.bool)].min() > 1


def test_settings_do_not_move_the_crops_and_flips():
    a = draw(16)
    b = draw(16, jitter_probability=1.0, blur_probability=0.0, jitter_strengths=(0, 0, 0, 0.4))
    assert torch.equal(a.boxes, b.boxes)
    assert torch.equal(a.flip, b.flip)


NO_CHANGE = dict(
    crop_scale=(1.0, 1.0), flip_probability=0.0, jitter_probability=1.0, brightness=0.0,
    contrast=0.0, saturation=0.0, hue=0.0, grayscale_probability=0.0, blur_probability=0.0,
)  # fmt: skip
PICTURES = {
    "grey": [(90, 90, 90)] * 4,
    "steps": [(40, 40, 40), (60, 60, 60), (80, 80, 80), (200, 200, 200)],
    "red": [(200, 50, 50)] * 4,
}


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({}, set()),
        ({"brightness": 0.5}, {"grey", "steps", "red"}),
        ({"contrast": 0.5}, {"steps", "red"}),
        ({"saturation": 0.5}, {"red"}),
        ({"hue": 0.3}, {"red"}),
        ({"brightness": 0.5, "jitter_probability": 0.0}, set()),
        ({"grayscale_probability": 1.0}, {"red"}),
        ({"blur_probability": 1.0, "blur_sigma": (2.0, 2.0)}, {"steps"}),
        ({"blur_probability": 1.0, "blur_sigma": (0.01, 0.02)}, set()),
        ({"flip_probability": 1.0}, {"steps"}),
        ({"crop_scale": (0.2, 0.3)}, {"steps"}),
    ],
)
def test_every_setting_does_what_its_name_says(change, changed):
    view = build_augment(AugmentConfig(size=16, **(NO_CHANGE | change)))
    for name, columns in PICTURES.items():
        frame = torch.tensor(columns, dtype=torch.uint8).T.repeat_interleave(4, dim=1)
        frame = frame[:, None].expand(3, 16, 16)
        got = denormalized(view(frame.expand(8, 3, 16, 16), torch.ones(8), generator()))
        difference = (got - frame / 255).abs().amax((1, 2, 3))
        # 1e-4: torchvision's three luma weights sum to 0.9999. Small factors are drawn, too.
        assert (difference.max() > 0.02) == (name in changed), name
        assert difference.max() < 1e-3 or name in changed
        if change == {"hue": 0.3}:  # unlike the others, it keeps the largest channel
            torch.testing.assert_close(got.amax(1), frame.amax(0).expand(8, 16, 16) / 255)


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


def test_the_canvas_does_not_matter():
    """A wide picture gives the same views from a canvas of its own shape and from a square one."""
    y, x = torch.meshgrid(torch.arange(144) / 144, torch.arange(256) / 144, indexing="ij")
    waves = [torch.sin(9 * x + k).mul(torch.cos(11 * y - k)) for k in range(3)]
    picture = ((torch.stack(waves) + 1) * 127).expand(8, 3, 144, 256)
    square = torch.nn.functional.interpolate(picture, (144, 144), mode="bilinear", antialias=True)
    view = build_augment(AugmentConfig(size=48, jitter_probability=0.0))
    aspects = torch.full((8,), 16 / 9)
    wide_view, square_view = (
        view(canvas.round().to(torch.uint8), aspects, generator()) for canvas in (picture, square)
    )
    assert (wide_view - square_view).abs().mean() < 0.02
    wrong = view(square.round().to(torch.uint8), torch.ones(8), generator())
    assert (wide_view - wrong).abs().mean() > 0.2


N = 6000


def test_laws_of_flip_jitter_grey_and_blur():
    p = draw(N)
    bound = 4 * math.sqrt(0.25 / N)  # four standard deviations
    for mask, probability in [(p.flip, 0.5), (p.jitter, 0.8), (p.grayscale, 0.2), (p.blur, 0.5)]:
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
    p = draw(N)
    columns = [
        p.boxes[:, 0] / (1 - p.boxes[:, 2]),
        p.boxes[:, 1] / (1 - p.boxes[:, 3]),
        p.boxes[:, 2] * p.boxes[:, 3],
        *[mask.double() for mask in (p.flip, p.jitter, p.grayscale, p.blur)],
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


def test_other_counts_of_frames_and_parameters_are_refused():
    with pytest.raises(ValueError, match="8 parameters for 7 frames"):
        apply_view(noise(7), draw(8), size=32, grayscale_first=False)


def test_no_samples_give_no_views():
    view = build_augment(V2)(noise(0), torch.ones(0), generator())
    assert view.shape == (0, 3, 32, 32)


def test_parameters_of_some_samples():
    p = draw(9)
    for field in fields(p):
        assert torch.equal(getattr(p[2:5], field.name), getattr(p, field.name)[2:5])


def test_v1_config_end_to_end():
    frames, aspects = noise(16), torch.full((16,), W / H)
    v1 = build_augment(V1)(frames, aspects, generator(5))
    parameters = draw(
        16,
        seed=5,
        jitter_strengths=(0.4, 0.4, 0.4, 0.4),
        jitter_probability=1.0,
        blur_probability=0.0,
    )
    expected = apply_view(frames, parameters, size=32, grayscale_first=True)
    torch.testing.assert_close(v1, expected, atol=0, rtol=0)
