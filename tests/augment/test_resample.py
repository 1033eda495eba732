"""Batched crop, resize and blur against torchvision's and against plain loops."""

import pytest
import torch
import torchvision.transforms.v2.functional as tv
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.augment import resize_line

from vidmoco.augment.resample import (
    BLOCK,
    blur_kernel_size,
    crop_and_resize,
    gaussian_blur,
    resampling_matrix,
    resize_each,
    resize_together,
)


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def fractions(boxes, *, h, w):
    return torch.tensor(boxes, dtype=torch.float64) / torch.tensor([w, h, w, h])


WHOLE_PIXEL_BOXES = [
    (0, 0, 47, 31),  # all of the canvas
    (3, 5, 40, 20),  # shrinks across, grows down
    (10, 0, 16, 16),  # copied
    (46, 30, 1, 1),  # one pixel
    (7, 2, 5, 29),
    (0, 28, 47, 3),
    (20, 9, 17, 15),
]


@pytest.mark.parametrize("size", [8, 16, 33])
def test_whole_pixel_boxes_as_torchvision(size):
    h, w, n = 31, 47, len(WHOLE_PIXEL_BOXES)
    frames = noise(n, 3, h, w)
    flip = torch.arange(n) % 2 == 0
    views = crop_and_resize(frames, fractions(WHOLE_PIXEL_BOXES, h=h, w=w), flip=flip, size=size)
    for view, frame, mirrored, box in zip(views, frames, flip, WHOLE_PIXEL_BOXES, strict=True):
        left, top, width, height = box
        crop = tv.crop(frame.float() / 255, top, left, height, width)
        expected = tv.resize(crop, [size, size], antialias=True)
        expected = tv.horizontal_flip(expected) if mirrored else expected
        # float32 places on a line of 47 pixels are good to 4e-6 of a pixel.
        torch.testing.assert_close(view, expected, atol=1e-5, rtol=0)


def test_a_large_canvas_as_torchvision():
    frames, h, w = noise(2, 3, 256, 455), 256, 455
    boxes = [(101, 33, 301, 211), (250, 100, 130, 140)]
    views = crop_and_resize(
        frames, fractions(boxes, h=h, w=w), flip=torch.zeros(2).bool(), size=224
    )
    for view, frame, (left, top, width, height) in zip(views, frames, boxes, strict=True):
        crop = tv.crop(frame.float() / 255, top, left, height, width)
        expected = tv.resize(crop, [224, 224], antialias=True)
        torch.testing.assert_close(view, expected, atol=1e-4, rtol=0)


@settings(max_examples=100, deadline=None)
@given(
    h=st.integers(1, 300),
    w=st.integers(1, 300),
    places=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    mirrored=st.booleans(),
    size=st.integers(1, 2 * BLOCK + 9),
)
def test_a_gpu_and_a_cpu_resize_to_the_same(h, w, places, shares, mirrored, size):
    # Both ways run here on the CPU. Any box, shrunk or grown, with blocks that end anywhere.
    frames = noise(2, 3, h, w)
    width, height = 0.05 + shares[0] * (w - 0.05), 0.05 + shares[1] * (h - 0.05)
    left, top = places[0] * (w - width), places[1] * (h - height)
    stretch = (left + width, -width) if mirrored else (left, width)
    stretches = torch.tensor([[value, value] for value in (*stretch, top, height)])
    torch.testing.assert_close(
        resize_each(frames, stretches, size=size),
        resize_together(frames, stretches, size=size),
        atol=1e-5,
        rtol=0,
    )


@settings(max_examples=60, deadline=None)
@given(
    pixels=st.integers(1, 30),
    place=st.floats(0, 1),
    share=st.floats(0, 1),
    size=st.integers(1, 20),
)
def test_any_stretch_as_the_loops(pixels, place, share, size):
    length = 0.05 + share * (pixels - 0.05)
    start = place * (pixels - length)
    line = noise(pixels).double()
    matrix = resampling_matrix(
        torch.tensor([start]).float(), torch.tensor([length]).float(), pixels=pixels, size=size
    )[0]
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(1), torch.ones(size))
    expected = torch.from_numpy(resize_line(line.tolist(), start, length, size))
    # Of 255. float32 places are good to 2e-6 of a pixel, and the stretch has 0.05 at least.
    torch.testing.assert_close(matrix.double() @ line, expected, atol=0.1, rtol=0)


def test_nothing_comes_from_outside_the_box():
    h, w = 20, 30
    frame = noise(3, h, w)
    boxes = torch.tensor([[4, 3, 9, 11], [4.3, 3.6, 8.1, 10.2]], dtype=torch.float64)
    boxes = boxes / torch.tensor([w, h, w, h])
    outside = torch.ones(h, w, dtype=torch.bool)
    outside[3:14, 4:13] = False  # the pixels that both boxes touch
    for value in (0, 255):
        other = torch.where(outside, value, frame).to(torch.uint8)
        for size in (8, 24):
            both = torch.stack([frame, frame]), torch.stack([other, other])
            flip = torch.tensor([False, True])
            first, second = (crop_and_resize(f, boxes, flip=flip, size=size) for f in both)
            torch.testing.assert_close(first, second, atol=0, rtol=0)


def test_a_box_moves_the_view_by_parts_of_a_pixel():
    # On a linear ramp the view is exact wherever the triangle is not cut off by the box.
    ramp = torch.arange(0, 200, 4, dtype=torch.uint8).expand(1, 3, 50, 50).contiguous()
    boxes = torch.tensor([[10.25, 10.0, 24.0, 24.0]], dtype=torch.float64) / 50
    view = crop_and_resize(ramp, boxes, flip=torch.tensor([False]), size=16)
    centres = 10.25 + (torch.arange(16) + 0.5) * 24 / 16
    expected = (centres - 0.5) * 4 / 255
    # Within a thousandth of a grey range: a triangle of 3 taps is not quite exact on a ramp.
    torch.testing.assert_close(view[0, 0, 0, 2:-2], expected[2:-2], atol=2e-3, rtol=0)


def test_a_circle_on_a_squashed_wide_picture_stays_a_circle():
    h, w = 360, 640
    y, x = torch.meshgrid(torch.arange(h) - 170.0, torch.arange(w) - 300.0, indexing="ij")
    picture = ((x**2 + y**2 < 100**2) * 255).to(torch.uint8).expand(1, 3, h, w)
    canvas = tv.resize(picture, [128, 128], antialias=True)  # 16:9 squashed to a square
    box = fractions([(120, 10, 340, 340)], h=h, w=w)  # square on the picture
    disc = crop_and_resize(canvas, box, flip=torch.tensor([False]), size=96)[0, 0]
    spread = [second_moment(disc.sum(dim)) for dim in (0, 1)]
    assert spread[0] == pytest.approx(spread[1], rel=0.02)
    assert spread[0] == pytest.approx((100 * 96 / 340 / 2) ** 2, rel=0.03)  # r^2 / 4 of a disc


def second_moment(profile):
    position = torch.arange(len(profile))
    mean = (profile * position).sum() / profile.sum()
    return ((profile * (position - mean) ** 2).sum() / profile.sum()).item()


@pytest.mark.parametrize("layout", ["channels_last", "a slice of pairs"])
def test_frames_in_any_memory_layout(layout):
    frames = noise(4, 3, 12, 14)
    boxes = fractions([(1, 2, 9, 8)] * 4, h=12, w=14)
    flip = torch.zeros(4, dtype=torch.bool)
    expected = crop_and_resize(frames, boxes, flip=flip, size=8)
    if layout == "channels_last":
        other = frames.contiguous(memory_format=torch.channels_last)
    else:
        other = torch.stack([frames, frames], dim=1)[:, 1]
    assert not other.is_contiguous()
    torch.testing.assert_close(crop_and_resize(other, boxes, flip=flip, size=8), expected)


@pytest.mark.parametrize(("size", "taps"), [(8, 3), (32, 3), (64, 7), (96, 9), (224, 23)])
def test_blur_as_torchvision(size, taps):
    assert blur_kernel_size(size) == taps
    sigma = torch.tensor([0.1, 0.6, 2.0])
    images = noise(3, 3, size, size).float() / 255
    before = images.clone()
    blurred = gaussian_blur(images, sigma)
    for image, s, result in zip(images, sigma, blurred, strict=True):
        expected = tv.gaussian_blur(image, [taps, taps], [s.item()] * 2)
        torch.testing.assert_close(result, expected, atol=2e-6, rtol=0)
    torch.testing.assert_close(images, before, atol=0, rtol=0)  # the input is left alone
