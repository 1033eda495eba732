"""Drawn parameters of views, for the tests of the draws and of the views."""

import torch

from vidmoco.augment.view_parameters import draw_view

H, W = 40, 60  # the canvas
V2_DRAW = dict(
    crop_scale=(0.2, 1.0),
    flip_probability=0.5,
    jitter_probability=0.8,
    jitter_strengths=(0.4, 0.3, 0.2, 0.1),
    grayscale_probability=0.2,
    blur_probability=0.5,
    blur_sigma=(0.1, 2.0),
    solarize_probability=0.0,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(n, *, aspect=W / H, seed=0, **changes):
    aspects = torch.full((n,), float(aspect))
    return draw_view(generator(seed), aspect_ratios=aspects, **(V2_DRAW | changes))
