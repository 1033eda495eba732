"""The random views of MoCo v1, v2 and v3, SimCLR and SwAV, batched, each sample with its own draws.

    draw_view    host     generator -> ViewParameters    every random number of one view of a batch
    apply_view   device   uint8 frames -> float view     crop, colours, blur, normalisation

``build_augment`` puts the two together for all views of a batch of pairs. What the papers do is a
matter of ``AugmentConfig``; beside MoCo v2, its default:

    v1      grey before the jitter, jitter always with hue 0.4, no blur
    v3      saturation 0.2; blur always and, in the second view, 0.1; there also solarize 0.2
    SimCLR  crops of 0.08 to 1; jitter of strength s: brightness, contrast, saturation 0.8 s, hue
            0.2 s, with s = 1
    SwAV    crops of 0.14 to 1, jitter as SimCLR; small crops (6 in the paper's best)

All have the order crop, colours, blur, solarize; only v1 has grey before the jitter.

NOTE: SimCLR resizes by bicubic interpolation, pads with zeros where it blurs, and has no mean and
standard deviation; SwAV blurs small crops with the 23 pixels of large ones, and divides red by
0.228. Here all are as in MoCo. All but SimCLR round to uint8 between their steps; here pixels are
real numbers up to the end.

torchvision's transforms draw one set of parameters a batch; its functional ops, sample by sample,
are the reference of the tests.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Generator, Tensor

from vidmoco.augment.color import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    JITTER_OPS,
    adjust_saturation,
    solarize,
)
from vidmoco.augment.resample import crop_and_resize, gaussian_blur
from vidmoco.augment.view_parameters import ViewParameters, draw_view
from vidmoco.config.augment import AugmentConfig
from vidmoco.device import to_device
from vidmoco.shapes import Float, UInt8

SOLARIZE_THRESHOLD = 128 / 255  # of BYOL and MoCo v3: PIL's default

# Pixels of the views that pass through all steps together on a CPU, to stay in its cache: 64
# samples of 64 pixels, 5 of 224. Measured: at 64 pixels 64 samples are a twentieth faster than 32,
# and a third faster than 128; at 224, 4 to 32 are alike. Others take the batch whole.
CPU_CHUNK = 2**18

Augment = Callable[..., list[Tensor]]
"""``(frames, aspect_ratios, generator, own=…) -> views``, from ``build_augment``."""


def build_augment(config: AugmentConfig) -> Augment:
    """Return the views that ``config`` describes, as a function (frames, aspect_ratios, generator).

    It takes uint8 pairs of frames (N, 2, 3, H, W), or more frames a video (N, F, 3, H, W), on any
    device, the displayed width / height of each video (N,) on the CPU and a CPU generator, which it
    advances by a number of draws that depends on N and on the number of views alone. Where the
    frames are a part of a batch, ``own`` says which; aspect ratios are of the whole of it, and the
    views are those of one process that has all. It returns a list: the large views, (N, 3, S, S)
    each, then the small crops, (N, 3, s, s) each, all as ``apply_view`` returns them. View v is of
    frame v, and after the last frame of the first again.

    It raises ``ValueError`` for an aspect ratio that is not a positive finite number.
    """
    second_blur, second_solarize = (
        config.second_blur_probability,
        config.second_solarize_probability,
    )
    draw_first = partial(
        draw_view,
        crop_scale=config.crop_scale,
        flip_probability=config.flip_probability,
        jitter_probability=config.jitter_probability,
        jitter_strengths=(config.brightness, config.contrast, config.saturation, config.hue),
        grayscale_probability=config.grayscale_probability,
        blur_probability=config.blur_probability,
        blur_sigma=config.blur_sigma,
        solarize_probability=config.solarize_probability,
    )
    draw_second = partial(
        draw_first,
        blur_probability=config.blur_probability if second_blur is None else second_blur,
        solarize_probability=(
            config.solarize_probability if second_solarize is None else second_solarize
        ),
    )
    draw_small = partial(draw_first, crop_scale=config.small_crop_scale)
    apply = partial(apply_view, grayscale_first=config.grayscale_first)
    shared = [{"crop": "boxes", "flip": "flip"}[name] for name in config.shared]

    def augment(
        frames: Tensor, aspect_ratios: Tensor, generator: Generator, *, own: range | None = None
    ) -> list[Tensor]:
        own = range(len(aspect_ratios)) if own is None else own
        share = slice(own.start, own.stop)
        drawn = [draw_first(generator, aspect_ratios=aspect_ratios)[share]]
        for _ in range(1, config.large_views):
            other = draw_second(generator, aspect_ratios=aspect_ratios)[share]
            drawn.append(replace(other, **{name: getattr(drawn[0], name) for name in shared}))
        sizes = [config.size] * config.large_views + [config.small_size] * config.small_crops
        for _ in range(config.small_crops):
            drawn.append(draw_small(generator, aspect_ratios=aspect_ratios)[share])
        return [
            apply(frames[:, number % frames.shape[1]], parameters, size=size)
            for number, (parameters, size) in enumerate(zip(drawn, sizes, strict=True))
        ]

    return augment


@torch.no_grad()
def apply_view(
    frames: UInt8[Tensor, "n 3 h w"],
    parameters: ViewParameters,
    *,
    size: int,
    grayscale_first: bool,
) -> Float[Tensor, "n 3 {size} {size}"]:
    """Return one view of each frame: cropped, changed in colour, blurred, solarized, normalised.

    The flip comes with the crop instead of last as in the papers; no step between them sees it.

    Args:
        frames: one frame a sample, all on one canvas of H x W pixels, on any device.
        parameters: of N samples, from ``draw_view``.
        size: side S of the view in pixels.
        grayscale_first: grey before the colour jitter (MoCo v1) or after it (the others).

    Returns:
        float32 on the device of ``frames``, less ImageNet's mean, over its standard deviation; in
        channels_last memory format.

    Raises:
        ValueError: frames and parameters are not of equally many samples.
    """
    device, n = frames.device, len(frames)
    if len(parameters.flip) != n:
        raise ValueError(f"{len(parameters.flip)} parameters for {n} frames; expected one each.")
    view = torch.empty((n, 3, size, size), device=device, memory_format=torch.channels_last)
    mean, std = torch.tensor([IMAGENET_MEAN, IMAGENET_STD]).view(2, 3, 1, 1)
    scale, shift = to_device(torch.stack([1 / std, -mean / std]), device)
    chunk = max(1, CPU_CHUNK // size**2) if device.type == "cpu" else max(n, 1)
    with torch.autocast(device.type, enabled=False):  # bf16 cannot tell 256 levels apart
        for start in range(0, n, chunk):
            some = slice(start, start + chunk)
            p = parameters[some]
            images = crop_and_resize(frames[some], p.boxes, flip=p.flip, size=size)
            _change(images, p, grayscale_first=grayscale_first)
            view[some].copy_(images.mul_(scale).add_(shift))
    return view


def _change(images: Tensor, p: ViewParameters, *, grayscale_first: bool) -> None:
    """Change the images in place: each step changes the samples that it is for, and no others.

    Which these are is found on the CPU, and goes to the device with their values in one copy: no
    sample pays for what is not done to it, and the device is never asked for anything.
    """
    n = len(images)
    # A row a step. Of the jitter, four for the first place in a sample's order, and so on.
    in_place = p.jitter_order.T[:, None] == torch.arange(4)[:, None]  # (place, op, N)
    jitter = JITTER_OPS * 4, (in_place & p.jitter).reshape(16, n), p.jitter_factors.T.repeat(4, 1)
    gray = (adjust_saturation,), p.grayscale[None], torch.zeros(1, n)
    blur = (gaussian_blur,), p.blur[None], p.blur_sigma[None]
    sun = (solarize,), p.solarize[None], torch.full((1, n), SOLARIZE_THRESHOLD)
    ordered = (gray, jitter, blur, sun) if grayscale_first else (jitter, gray, blur, sun)
    steps, masks, values = (list(part) for part in zip(*ordered, strict=True))
    chosen = torch.cat(masks)
    counts = chosen.sum(1).tolist()
    # float64 holds numbers of samples and values exactly.
    packed = torch.stack([chosen.nonzero()[:, 1].double(), torch.cat(values)[chosen].double()])
    index, value = to_device(packed, images.device)
    ops = (op for group in steps for op in group)
    samples = images.unbind() if images.device.type == "cpu" else ()
    for op, some, of_some in zip(
        ops, index.long().split(counts), value.float().split(counts), strict=True
    ):
        if len(some) == 0:
            continue
        changed = op(images.index_select(0, some), of_some)
        if samples:  # measured three times as fast there as index_copy_
            torch._foreach_copy_([samples[number] for number in some.tolist()], changed.unbind())
        else:
            images.index_copy_(0, some, changed)
