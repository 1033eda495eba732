"""The views against torchvision's, one by one, and what all views of a batch have to do with it."""

from dataclasses import replace

import pytest
import torch
from drawn_views import V2_DRAW, H, W, draw, generator
from reference.augment import MEAN, STD, one_view

from vidmoco.augment import resample
from vidmoco.augment import views as augment
from vidmoco.augment.view_parameters import draw_view
from vidmoco.augment.views import apply_view, build_augment
from vidmoco.config.augment import AugmentConfig

V1 = AugmentConfig(
    size=32, hue=0.4, jitter_probability=1.0, blur_probability=0.0, grayscale_first=True
)
V2 = AugmentConfig(size=32)
V3 = AugmentConfig(
    size=32,
    saturation=0.2,
    blur_probability=1.0,
    second_blur_probability=0.1,
    second_solarize_probability=0.2,
)
SWAV = AugmentConfig(
    size=32, crop_scale=(0.14, 1.0), brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2,
    small_crops=6, small_size=16,
)  # fmt: skip


def noise(n, *, h=H, w=W):
    return torch.randint(0, 256, (n, 3, h, w), dtype=torch.uint8, generator=generator(1))


def pairs(n, *, h=H, w=W):
    return noise(2 * n, h=h, w=w).view(n, 2, 3, h, w)


@pytest.fixture
def drawn(monkeypatch):
    """The parameters that were drawn, a view each; their boxes are of whole pixels."""
    views = []

    def draw_on_whole_pixels(*args, **settings):
        views.append(on_whole_pixels(augment_draw(*args, **settings))[0])
        return views[-1]

    augment_draw = augment.draw_view
    monkeypatch.setattr(augment, "draw_view", draw_on_whole_pixels)
    return views


def assert_as_torchvision(views, frames, parameters, *, grayscale_first=False):
    """Each view (N, 3, S, S) of frames as torchvision makes it of one frame after the other."""
    size = views.shape[-1]
    boxes = (parameters.boxes * torch.tensor([W, H, W, H])).round().int().tolist()
    for i in range(len(frames)):
        expected = one_view(
            frames[i],
            box=boxes[i],
            parameters=parameters[i : i + 1],
            size=size,
            grayscale_first=grayscale_first,
            kernel_size=3,
        )
        # A value within rounding of the threshold may be solarized here and not there, which moves
        # it by 1 / 255, over a std of 0.22. A few in a million are, none of a view that is not.
        moved = (views[i] - expected).abs() > 1e-4
        assert moved.sum() <= (2 if parameters.solarize[i] else 0)
        limit = torch.where(moved, 0.0178, 1e-4)  # errors of 1e-6 in [0, 1], times the contrasts
        assert ((views[i] - expected).abs() <= limit).all()


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
def test_views_as_torchvision_one_by_one(size, grayscale_first, monkeypatch):
    n = 21  # more than one chunk, not a multiple of it
    monkeypatch.setattr(augment, "CPU_CHUNK", 16 * size**2)
    frames = noise(n)
    changes = dict(jitter_strengths=(0.4, 0.4, 0.4, 0.4), solarize_probability=0.3)
    parameters, _ = on_whole_pixels(draw(n, **changes))
    views = apply_view(frames, parameters, size=size, grayscale_first=grayscale_first)
    assert views.dtype == torch.float32
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert_as_torchvision(views, frames, parameters, grayscale_first=grayscale_first)


@pytest.mark.parametrize(
    ("config", "blurred", "solarized"),
    [(V1, (0, 0), (0, 0)), (V2, (0.5, 0.5), (0, 0)), (V3, (1, 0.1), (0, 0.2))],
    ids=["v1", "v2", "v3"],
)
def test_pairs_as_torchvision_one_by_one(config, blurred, solarized, drawn):
    n = 120
    frames = pairs(n)
    views = build_augment(config)(frames, torch.full((n,), W / H), generator(2))
    assert len(views) == len(drawn) == 2
    for number in range(2):
        p = drawn[number]
        # Four standard deviations of a share.
        for mask, probability in ((p.blur, blurred[number]), (p.solarize, solarized[number])):
            spread = (probability * (1 - probability) / n) ** 0.5
            assert abs(mask.double().mean() - probability) <= 4 * spread
        assert_as_torchvision(
            views[number], frames[:, number], p, grayscale_first=config.grayscale_first
        )


def test_the_second_view_is_as_the_first_unless_told(drawn):
    n = 400
    config = AugmentConfig(size=8, blur_probability=0.9, solarize_probability=0.7)
    build_augment(config)(pairs(n), torch.ones(n), generator())
    for p in drawn:
        assert abs(p.blur.double().mean() - 0.9) < 0.06  # four standard deviations
        assert abs(p.solarize.double().mean() - 0.7) < 0.1
    never = AugmentConfig(
        size=8, blur_probability=1.0, second_blur_probability=0.0,
        solarize_probability=1.0, second_solarize_probability=0.0,
    )  # fmt: skip
    build_augment(never)(pairs(n), torch.ones(n), generator())
    assert drawn[2].blur.all()
    assert drawn[2].solarize.all()
    assert not drawn[3].blur.any()
    assert not drawn[3].solarize.any()


@pytest.mark.parametrize("shared", [(), ("crop",), ("flip",), ("flip", "crop")])
def test_what_a_pair_shares(shared, drawn):
    n = 64
    frames = pairs(n)
    config = AugmentConfig(size=32, shared=shared)
    first, second = build_augment(config)(frames, torch.full((n,), W / H), generator())
    a, b = drawn
    for p, view, number in ((a, first, 0), (b, second, 1)):
        shown = replace(
            p,
            boxes=a.boxes if "crop" in shared else p.boxes,
            flip=a.flip if "flip" in shared else p.flip,
        )
        assert_as_torchvision(view, frames[:, number], shown)
    # What was drawn does not depend on what is shared, and nothing else is.
    for name in ("boxes", "flip", "jitter_factors", "jitter_order", "grayscale", "blur"):
        assert not torch.equal(getattr(a, name), getattr(b, name))


def test_small_crops_come_from_the_two_frames_in_turn():
    n, levels = 3, torch.tensor([40, 200])
    frames = levels.to(torch.uint8).view(1, 2, 1, 1, 1).expand(n, 2, 3, H, W)
    config = AugmentConfig(**NO_CHANGE, size=32, small_crops=5, small_size=16)
    views = build_augment(config)(frames, torch.full((n,), W / H), generator())
    assert [tuple(view.shape) for view in views] == [(n, 3, 32, 32)] * 2 + [(n, 3, 16, 16)] * 5
    for view, level in zip(views, [40, 200, 40, 200, 40, 200, 40], strict=True):
        expected = torch.full_like(view, level / 255)
        torch.testing.assert_close(denormalized(view), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("frames", "large", "small", "shown"),
    [(4, 4, 0, [0, 1, 2, 3]), (3, 4, 0, [0, 1, 2, 0]), (4, 2, 3, [0, 1, 2, 3, 0])],
)
def test_views_take_the_frames_of_a_video_in_turn(frames, large, small, shown, drawn):
    n = 3
    levels = (40 * torch.arange(1, frames + 1)).to(torch.uint8)
    batch = levels.view(1, frames, 1, 1, 1).expand(n, frames, 3, H, W)
    config = AugmentConfig(
        **NO_CHANGE | {"second_solarize_probability": 0.0},
        size=32,
        large_views=large,
        small_crops=small,
        small_size=16,
        shared=("crop",),
    )
    views = build_augment(config)(batch, torch.full((n,), W / H), generator())
    assert [view.shape[-1] for view in views] == [32] * large + [16] * small
    for view, frame in zip(views, shown, strict=True):
        expected = torch.full_like(view, 40 * (frame + 1) / 255)
        torch.testing.assert_close(denormalized(view), expected, atol=1e-4, rtol=0)
    assert len({str(p.jitter_order.tolist()) for p in drawn}) == len(views)  # draws of their own


def test_further_large_views_are_as_the_second():
    drawn_second = replace(V3, large_views=4)
    views = build_augment(drawn_second)(pairs(4), torch.ones(4), generator())
    alone = build_augment(V3)(pairs(4), torch.ones(4), generator())
    assert torch.equal(views[0], alone[0]) and torch.equal(views[1], alone[1])
    assert len(views) == 4 and not torch.equal(views[1], views[3])


def test_small_crops_are_drawn_as_the_first_view_but_for_their_size(drawn):
    n = 150
    config = replace(SWAV, second_blur_probability=0.0, solarize_probability=0.4)
    frames = pairs(n)
    views = build_augment(config)(frames, torch.ones(n), generator())
    assert len(drawn) == len(views) == 8
    areas = [p.boxes[:, 2] * p.boxes[:, 3] for p in drawn]
    pixel = 0.06  # of the area: what rounding to whole pixels takes at most off a small crop
    for area in areas[:2]:
        assert area.max() > 0.5
        assert area.min() > 0.14 - pixel
    for p, area in zip(drawn[2:], areas[2:], strict=True):
        assert area.min() > 0.05 - pixel
        assert area.max() <= 0.14
        assert area.max() > 0.1
        assert abs(p.blur.double().mean() - 0.5) < 0.17  # four standard deviations
        assert abs(p.solarize.double().mean() - 0.4) < 0.17
        assert abs((p.jitter_factors[:, 0] - 1).abs().mean() - 0.4) < 0.08
    assert len({tuple(p.flip.tolist()) for p in drawn}) == 8
    for number in (2, 3):
        assert_as_torchvision(views[number], frames[:, number % 2], drawn[number])


@pytest.mark.parametrize(
    ("large", "small", "count"), [(160, 96, 4), (224, 96, 6)], ids=["2x160 4x96", "2x224 6x96"]
)
def test_the_view_sets_of_swav(large, small, count):
    config = AugmentConfig(size=large, crop_scale=(0.14, 1.0), small_crops=count, small_size=small)
    views = build_augment(config)(pairs(2), torch.ones(2), generator())
    sides = [large] * 2 + [small] * count
    assert [tuple(view.shape) for view in views] == [(2, 3, side, side) for side in sides]


def test_small_crops_come_after_the_large_views():
    frames, aspects = pairs(4), torch.full((4,), W / H)
    without = build_augment(replace(SWAV, small_crops=0))(frames, aspects, generator())
    views = build_augment(SWAV)(frames, aspects, generator())
    for a, b in zip(without, views, strict=False):
        assert torch.equal(a, b)


@pytest.mark.parametrize("config", [V1, V2, V3, SWAV], ids=["v1", "v2", "v3", "swav"])
def test_how_many_numbers_are_drawn_depends_on_samples_and_views_alone(config):
    source, expected = generator(), generator()
    build_augment(config)(pairs(5), torch.ones(5), source)
    torch.rand((2 + config.small_crops) * 5 * 36, generator=expected, dtype=torch.float64)
    assert torch.equal(source.get_state(), expected.get_state())


def test_the_batch_is_as_its_samples_alone():
    frames, parameters = noise(12), draw(12)
    whole = apply_view(frames, parameters, size=32, grayscale_first=False)
    for i in range(12):
        alone = apply_view(frames[i : i + 1], parameters[i : i + 1], size=32, grayscale_first=False)
        torch.testing.assert_close(whole[i : i + 1], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("config", [V1, V2, V3, SWAV], ids=["v1", "v2", "v3", "swav"])
@pytest.mark.parametrize("chunk", [2, 3, 7, 1000])
def test_chunks_change_no_bit(config, chunk, monkeypatch):
    frames, aspects = pairs(20), torch.full((20,), W / H)
    monkeypatch.setattr(augment, "CPU_CHUNK", 1)
    expected = build_augment(config)(frames, aspects, generator())
    monkeypatch.setattr(augment, "CPU_CHUNK", chunk * config.size**2)
    for a, b in zip(build_augment(config)(frames, aspects, generator()), expected, strict=True):
        assert torch.equal(a, b)


def test_autocast_does_not_reach_the_pixels():
    frames, parameters = noise(8), draw(8)
    expected = apply_view(frames, parameters, size=32, grayscale_first=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        views = apply_view(frames, parameters, size=32, grayscale_first=False)
    torch.testing.assert_close(views, expected, atol=0, rtol=0)


def test_the_device_is_never_asked_for_a_value(monkeypatch):
    # Tensors of the meta device have no values: what would read one from a GPU raises here.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: torch.no_grad())
    config = replace(V3, small_crops=2, small_size=16, solarize_probability=0.5)
    views = build_augment(config)(pairs(12).to("meta"), torch.ones(12), generator())
    assert [view.device.type for view in views] == ["meta"] * 4


def test_a_gpu_gets_two_copies_of_numbers_a_view_and_one_of_constants(monkeypatch):
    copies = []
    monkeypatch.setattr(augment, "to_device", lambda t, d: copies.append(t) or t.to(d))
    monkeypatch.setattr(resample, "to_device", lambda t, d: copies.append(t) or t.to(d))
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: torch.no_grad())
    apply_view(noise(12).to("meta"), draw(12), size=32, grayscale_first=False)
    assert len(copies) == 3


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
    make = build_augment(replace(V3, small_crops=1, small_size=16))
    frames, aspects = pairs(8), torch.full((8,), W / H)
    source = generator(3)
    state = source.get_state()
    before, after = make(frames, aspects, source), make(frames, aspects, source)
    source.set_state(state)
    for views in (before, after):
        for a, b in zip(make(frames, aspects, source), views, strict=True):
            assert torch.equal(a, b)
    for a, b in zip(before, after, strict=True):
        assert not torch.allclose(a, b)


def test_the_global_generator_is_not_touched():
    before = torch.get_rng_state()
    build_augment(V2)(pairs(4), torch.ones(4), generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_of_one_frame_get_views_of_their_own():
    frames = noise(1).expand(32, 2, 3, H, W)
    views = torch.cat(build_augment(V2)(frames, torch.full((32,), W / H), generator())).flatten(1)
    distance = torch.cdist(views, views)
    assert distance[~torch.eye(64, dtype=torch.bool)].min() > 1


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
        ({"solarize_probability": 1.0}, {"steps", "red"}),
        ({"second_blur_probability": 1.0, "second_solarize_probability": 1.0}, set()),
        ({"flip_probability": 1.0}, {"steps"}),
        ({"crop_scale": (0.2, 0.3)}, {"steps"}),
    ],
)
def test_every_setting_does_what_its_name_says(change, changed):
    view = build_augment(AugmentConfig(size=16, **(NO_CHANGE | change)))
    for name, columns in PICTURES.items():
        frame = torch.tensor(columns, dtype=torch.uint8).T.repeat_interleave(4, dim=1)
        frame = frame[:, None].expand(3, 16, 16)
        got = denormalized(view(frame.expand(8, 2, 3, 16, 16), torch.ones(8), generator())[0])
        difference = (got - frame / 255).abs().amax((1, 2, 3))
        # 1e-4: torchvision's three luma weights sum to 0.9999. Small factors are drawn, too.
        assert (difference.max() > 0.02) == (name in changed), name
        assert difference.max() < 1e-3 or name in changed
        if change == {"hue": 0.3}:  # unlike the others, it keeps the largest channel
            torch.testing.assert_close(got.amax(1), frame.amax(0).expand(8, 16, 16) / 255)


def test_the_canvas_does_not_matter():
    """A wide picture gives the same views from a canvas of its own shape and from a square one."""
    y, x = torch.meshgrid(torch.arange(144) / 144, torch.arange(256) / 144, indexing="ij")
    waves = [torch.sin(9 * x + k).mul(torch.cos(11 * y - k)) for k in range(3)]
    picture = ((torch.stack(waves) + 1) * 127).expand(16, 3, 144, 256)
    square = torch.nn.functional.interpolate(picture, (144, 144), mode="bilinear", antialias=True)
    augment = build_augment(AugmentConfig(size=48, jitter_probability=0.0))

    def views(canvas, aspect):
        frames = canvas.round().to(torch.uint8).view(8, 2, 3, 144, -1)
        return torch.stack(augment(frames, torch.full((8,), aspect), generator()))

    wide_view, square_view = views(picture, 16 / 9), views(square, 16 / 9)
    assert (wide_view - square_view).abs().mean() < 0.02
    wrong = views(square, 1.0)
    assert (wide_view - wrong).abs().mean() > 0.2


def test_other_counts_of_frames_and_parameters_are_refused():
    with pytest.raises(ValueError, match="8 parameters for 7 frames"):
        apply_view(noise(7), draw(8), size=32, grayscale_first=False)


def test_no_samples_give_no_views():
    views = build_augment(SWAV)(pairs(0), torch.ones(0), generator())
    assert [view.shape for view in views] == [(0, 3, 32, 32)] * 2 + [(0, 3, 16, 16)] * 6


def test_v1_config_end_to_end():
    frames, aspects = pairs(16), torch.full((16,), W / H)
    views = build_augment(V1)(frames, aspects, generator(5))
    settings = V2_DRAW | dict(
        jitter_strengths=(0.4, 0.4, 0.4, 0.4), jitter_probability=1.0, blur_probability=0.0
    )
    source = generator(5)
    for number in range(2):  # all of the first view, then all of the second
        parameters = draw_view(source, aspect_ratios=aspects, **settings)
        expected = apply_view(frames[:, number], parameters, size=32, grayscale_first=True)
        assert torch.equal(views[number], expected)


@pytest.mark.parametrize("config", [V2, V3, SWAV], ids=["v2", "v3", "swav"])
def test_shares_of_a_batch_are_the_batch(config):
    """As of two processes: each has its frames, and all aspect ratios."""
    frames, aspects = pairs(6), torch.linspace(0.8, 2.0, 6)
    whole = build_augment(config)(frames, aspects, generator())
    source = [generator() for _ in range(2)]
    halves = [
        build_augment(config)(frames[own.start : own.stop], aspects, each, own=own)
        for each, own in zip(source, (range(4), range(4, 6)), strict=True)
    ]
    for view, parts in zip(whole, zip(*halves, strict=True), strict=True):
        assert torch.equal(view, torch.cat(parts))
    assert torch.equal(source[0].get_state(), source[1].get_state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_aspect_ratios_may_lie_on_a_gpu():
    """As Lightning moves them there."""
    frames, aspects = pairs(3), torch.linspace(0.8, 2.0, 3)
    augment = build_augment(V2)
    expected = augment(frames.cuda(), aspects, generator())
    found = augment(frames.cuda(), aspects.cuda(), generator())
    for view, other in zip(found, expected, strict=True):
        assert torch.equal(view, other)


def test_more_frames_than_views_are_refused():
    """They would be decoded, and not shown."""
    augment = build_augment(AugmentConfig(size=16))
    frames = torch.zeros(2, 4, 3, 20, 20, dtype=torch.uint8)
    with pytest.raises(ValueError, match="There are 4 frames of each video, and 2 views"):
        augment(frames, torch.ones(2), torch.Generator())
