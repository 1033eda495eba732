"""The random views of MoCo v1, v2 and v3, SimCLR and SwAV, batched, with own draws per sample.

    draw_view    host     generator -> ViewParameters    the random numbers of one view of a batch
    apply_view   device   uint8 frames -> float view     crop, colours, blur, normalisation

``build_augment`` combines both for all views of a batch. ``AugmentConfig`` chooses the paper. Its
default is MoCo v2; the others differ in:

    v1      greyscale before the jitter, jitter always and with hue 0.4, no blur
    v3      saturation 0.2; always blur the first view; blur 0.1 and solarize 0.2 in the second
    SimCLR  crops of 0.08 to 1; jitter of strength s: brightness, contrast, saturation 0.8 s, hue
            0.2 s, with s = 1
    SwAV    crops of 0.14 to 1, jitter as in SimCLR; small crops (6 in the paper's best result)

The order is crop, colours, greyscale, blur, solarize; only v1 has greyscale before the jitter.

NOTE: SimCLR resizes with bicubic interpolation, pads with zeros where it blurs, and does not
normalise by mean and standard deviation. SwAV blurs small crops with the 23-pixel kernel of large
ones, and divides red by 0.228. Here all of this is as in MoCo. All except SimCLR round to uint8
between steps; here pixels are real numbers until the end.

torchvision's transforms draw one set of parameters per batch. The tests use its functional ops,
sample by sample, as a reference.
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

SOLARIZE_THRESHOLD = 128 / 255  # PIL's default, which BYOL and MoCo v3 use

# On a CPU, this many pixels of views go through all steps together, to stay in its cache: 64
# samples of 64 pixels, 5 of 224. Measured: at 64 pixels 64 samples are a twentieth faster than 32,
# and a third faster than 128; at 224, 4 to 32 are equally fast. A GPU takes the whole batch.
CPU_CHUNK = 2**18

Augment = Callable[..., list[Tensor]]
"""``(frames, aspect_ratios, generator, own=…) -> views``, from ``build_augment``."""


def build_augment(config: AugmentConfig) -> Augment:
    """Return a function (frames, aspect_ratios, generator, own) that makes views by ``config``.

    Its arguments are uint8 frames (N, F, 3, H, W) on any device, F of each video (2 for a pair);
    the displayed width / height of each video (N,); and a CPU generator. Aspect ratios on a GPU are
    copied to the CPU, which waits for the GPU. The number of draws depends on N and on the number
    of views only. If the frames are a part of a larger batch,
    ``own`` is their range in it, and the aspect ratios are those of the whole batch. The views are
    then the same as those of a process that has the whole batch.

    It returns a list: the large views, (N, 3, S, S) each, then the small crops, (N, 3, s, s) each,
    as ``apply_view`` returns them. View v shows frame v modulo F. It raises ``ValueError`` for more
    frames than views, and for an aspect ratio that is not a positive finite number.
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
        num_views = config.large_views + config.small_crops
        if frames.shape[1] > num_views:
            raise ValueError(
                f"There are {frames.shape[1]} frames of each video, and {num_views} views to show "
                "them. Give AugmentConfig(large_views=...) or small_crops as many."
            )
        aspect_ratios = aspect_ratios.cpu()
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
    """Return one view of each frame: crop, flip, colours, blur, solarize, normalisation.

    The papers flip last. Here the crop flips too: no step in between depends on it.

    Args:
        frames: one frame per sample, all on one canvas of H x W pixels, on any device.
        parameters: those of the N samples, from ``draw_view``.
        size: side S of the view in pixels.
        grayscale_first: greyscale before the colour jitter (MoCo v1) or after it (the others).

    Returns:
        float32 on the device of ``frames``, normalised by ImageNet's mean and standard deviation,
        in channels_last memory format.

    Raises:
        ValueError: the numbers of frames and parameters differ.
    """
    device, n = frames.device, len(frames)
    if len(parameters.flip) != n:
        raise ValueError(
            f"{len(parameters.flip)} parameters for {n} frames; expected one per frame."
        )
    view = torch.empty((n, 3, size, size), device=device, memory_format=torch.channels_last)
    mean, std = torch.tensor([IMAGENET_MEAN, IMAGENET_STD]).view(2, 3, 1, 1)
    scale, shift = to_device(torch.stack([1 / std, -mean / std]), device)
    chunk = max(1, CPU_CHUNK // size**2) if device.type == "cpu" else max(n, 1)
    with torch.autocast(device.type, enabled=False):  # bf16 cannot hold 256 levels
        for start in range(0, n, chunk):
            part = slice(start, start + chunk)
            p = parameters[part]
            images = crop_and_resize(frames[part], p.boxes, flip=p.flip, size=size)
            _apply_colours(images, p, grayscale_first=grayscale_first)
            view[part].copy_(images.mul_(scale).add_(shift))
    return view


def _apply_colours(images: Tensor, p: ViewParameters, *, grayscale_first: bool) -> None:
    """Change colours and blur in place. Each step runs on the samples that were drawn for it.

    The samples of each step are found on the CPU, and go to the device in one copy together with
    their values. So no sample pays for a step that it skips, and the host never waits.
    """
    n = len(images)
    # One row per step. The jitter has four ops for each of the four places in a sample's order.
    in_place = p.jitter_order.T[:, None] == torch.arange(4)[:, None]  # (place, op, N)
    jitter = JITTER_OPS * 4, (in_place & p.jitter).reshape(16, n), p.jitter_factors.T.repeat(4, 1)
    gray = (adjust_saturation,), p.grayscale[None], torch.zeros(1, n)
    blur = (gaussian_blur,), p.blur[None], p.blur_sigma[None]
    solar = (solarize,), p.solarize[None], torch.full((1, n), SOLARIZE_THRESHOLD)
    ordered = (gray, jitter, blur, solar) if grayscale_first else (jitter, gray, blur, solar)
    steps, masks, values = (list(part) for part in zip(*ordered, strict=True))
    mask = torch.cat(masks)  # (step, N)
    counts = mask.sum(1).tolist()
    # float64 holds both indices and values exactly.
    packed = torch.stack([mask.nonzero()[:, 1].double(), torch.cat(values)[mask].double()])
    index, value = to_device(packed, images.device)
    ops = (op for group in steps for op in group)
    samples = images.unbind() if images.device.type == "cpu" else ()
    for op, chosen, op_values in zip(
        ops, index.long().split(counts), value.float().split(counts), strict=True
    ):
        if len(chosen) == 0:
            continue
        changed = op(images.index_select(0, chosen), op_values)
        if samples:  # measured: three times as fast on a CPU as index_copy_
            torch._foreach_copy_([samples[i] for i in chosen.tolist()], changed.unbind())
        else:
            images.index_copy_(0, chosen, changed)
