"""The random views of MoCo v1 and v2, batched on the device, each sample with its own parameters.

    draw_view    host     generator -> ViewParameters    every random number of one view of a batch
    apply_view   device   uint8 frames -> float view     crop, colours, blur, normalisation

All randomness is drawn on the host from an explicit generator: the same numbers on every device,
one state to save in a checkpoint, no device that waits for the host. torchvision's transforms draw
one set of parameters a batch; its functional ops, sample by sample, are the reference of the tests.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import torch
from torch import Generator, Tensor

from vidmoco.color import JITTER_OPS, luma
from vidmoco.config import AugmentConfig
from vidmoco.resample import crop_and_resize, gaussian_blur
from vidmoco.shapes import Bool, Float, Int64, UInt8

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CROP_ASPECTS = (3 / 4, 4 / 3)  # width / height; this and the tries: torchvision's RandomResizedCrop
CROP_TRIES = 10

# Samples that pass through all steps together on a CPU, to stay in its cache. Measured at 64 and
# 224 pixels: 16 to 64 are alike, a whole batch of 256 takes a third longer. Others take it whole.
CPU_CHUNK = 16

Augment = Callable[[Tensor, Tensor, Generator], Tensor]
"""``(frames, aspect_ratios, generator) -> view``, from ``build_augment``."""


@dataclass(frozen=True, kw_only=True)
class ViewParameters:
    """What is done to each sample of a batch in one view. All tensors are on the CPU.

    Attributes:
        boxes: the crops (left, top, width, height), as fractions of the picture and of its canvas.
        flip: whether it is mirrored left to right.
        jitter: whether the colour jitter is applied.
        jitter_factors: of brightness, contrast and saturation (1 changes nothing), and the shift of
            hue in turns of the colour circle (0 changes nothing).
        jitter_order: columns of ``jitter_factors`` in the order of application.
        grayscale: whether it is made grey.
        blur: whether the Gaussian blur is applied.
        blur_sigma: its standard deviation in pixels of the view.
    """

    boxes: Float[Tensor, "n 4"]
    flip: Bool[Tensor, "n"]
    jitter: Bool[Tensor, "n"]
    jitter_factors: Float[Tensor, "n 4"]
    jitter_order: Int64[Tensor, "n 4"]
    grayscale: Bool[Tensor, "n"]
    blur: Bool[Tensor, "n"]
    blur_sigma: Float[Tensor, "n"]

    def __getitem__(self, samples: slice) -> "ViewParameters":
        """Return the parameters of some samples of the batch."""
        return ViewParameters(**{f.name: getattr(self, f.name)[samples] for f in fields(self)})


def build_augment(config: AugmentConfig) -> Augment:
    """Return the view that ``config`` describes, as a function (frames, aspect_ratios, generator).

    It takes uint8 frames (N, 3, H, W) on any device, the displayed width / height of each (N,) on
    the CPU and a CPU generator, which it advances; it returns what ``apply_view`` does.
    """
    draw = partial(
        draw_view,
        crop_scale=config.crop_scale,
        flip_probability=config.flip_probability,
        jitter_probability=config.jitter_probability,
        jitter_strengths=(config.brightness, config.contrast, config.saturation, config.hue),
        grayscale_probability=config.grayscale_probability,
        blur_probability=config.blur_probability,
        blur_sigma=config.blur_sigma,
    )
    apply = partial(apply_view, size=config.size, grayscale_first=config.grayscale_first)

    def augment(frames: Tensor, aspect_ratios: Tensor, generator: Generator) -> Tensor:
        return apply(frames, draw(generator, aspect_ratios=aspect_ratios))

    return augment


def draw_view(
    generator: Generator,
    *,
    aspect_ratios: Float[Tensor, "n"],
    crop_scale: tuple[float, float],
    flip_probability: float,
    jitter_probability: float,
    jitter_strengths: tuple[float, float, float, float],
    grayscale_probability: float,
    blur_probability: float,
    blur_sigma: tuple[float, float],
) -> ViewParameters:
    """Draw the parameters of one view of N samples.

    How many numbers are drawn depends on N alone: from one generator state, v1 and v2 (say) draw
    the same crops and flips.

    Args:
        generator: a CPU generator.
        aspect_ratios: displayed width / height of each picture, on the CPU.
        crop_scale: least and greatest share of the picture's area in a crop.
        flip_probability: of a horizontal flip.
        jitter_probability: of the colour jitter.
        jitter_strengths: x of brightness, contrast, saturation (factor from max(0, 1 - x) to 1 + x)
            and hue (shift from -x to x turns), as in torchvision's ColorJitter.
        grayscale_probability: of a grey view.
        blur_probability: of a Gaussian blur.
        blur_sigma: its least and greatest standard deviation in pixels of the view.

    Raises:
        ValueError: an aspect ratio is not a positive finite number.
    """
    n = len(aspect_ratios)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def uniform_between(least: Tensor, greatest: Tensor) -> Tensor:
        return (least + (greatest - least) * uniform(n, len(least))).float()

    boxes = _draw_boxes(aspect_ratios.double(), crop_scale, uniform)
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0])
    strengths = torch.tensor(jitter_strengths)
    least = neutral - strengths
    least[:3].clamp_(min=0)
    return ViewParameters(
        boxes=boxes,
        flip=uniform(n) < flip_probability,
        jitter=uniform(n) < jitter_probability,
        jitter_factors=uniform_between(least, neutral + strengths),
        jitter_order=uniform(n, 4).argsort(1),
        grayscale=uniform(n) < grayscale_probability,
        blur=uniform(n) < blur_probability,
        blur_sigma=uniform_between(*torch.tensor(blur_sigma)[:, None])[:, 0],
    )


def _draw_boxes(
    aspects: Tensor, scale: tuple[float, float], uniform: Callable[..., Tensor]
) -> Tensor:
    """Return crops (N, 4) by torchvision's law of RandomResizedCrop, as fractions of the picture.

    The law holds in the picture as displayed, of size aspect x 1. The canvas that a frame was
    squashed to may have any shape; fractions are the same on both, and the view is not distorted.

    NOTE: torchvision rounds boxes to whole pixels; here they are real numbers, free of the canvas.
    """
    valid = aspects.isfinite() & (aspects > 0)
    if not valid.all():
        raise ValueError(
            f"An aspect ratio is {aspects[~valid][0].item()}; expected displayed width / height, a "
            "finite number greater than 0."
        )
    n = len(aspects)
    narrowest, widest = CROP_ASPECTS
    area = scale[0] + (scale[1] - scale[0]) * uniform(n, CROP_TRIES)
    crop_aspect = narrowest * (widest / narrowest) ** uniform(n, CROP_TRIES)  # its log is uniform
    relative = crop_aspect / aspects[:, None]  # width / height, both as fractions of the picture
    widths, heights = (area * relative).sqrt(), (area / relative).sqrt()
    fits = (widths <= 1) & (heights <= 1)
    fitted, first = fits.any(1), fits.byte().argmax(1, keepdim=True)
    # Where no try fits: the largest crop of the nearest allowed aspect, in the middle.
    nearest = aspects.clamp(narrowest, widest) / aspects
    width = torch.where(fitted, widths.gather(1, first)[:, 0], nearest.clamp(max=1))
    height = torch.where(fitted, heights.gather(1, first)[:, 0], (1 / nearest).clamp(max=1))
    place = torch.where(fitted[:, None], uniform(n, 2), 0.5)
    return torch.stack([place[:, 0] * (1 - width), place[:, 1] * (1 - height), width, height], 1)


@torch.no_grad()
def apply_view(
    frames: UInt8[Tensor, "n 3 h w"],
    parameters: ViewParameters,
    *,
    size: int,
    grayscale_first: bool,
) -> Float[Tensor, "n 3 {size} {size}"]:
    """Return one view of each frame: cropped, changed in colour, blurred, normalised.

    The flip comes with the crop instead of last as in the papers; no step between them sees it.

    Args:
        frames: one frame a sample, all on one canvas of H x W pixels, on any device.
        parameters: of N samples, from ``draw_view``.
        size: side S of the view in pixels.
        grayscale_first: grey before the colour jitter (MoCo v1) or after it (v2).

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
    std = torch.tensor(IMAGENET_STD).view(3, 1, 1)
    shift = (-torch.tensor(IMAGENET_MEAN).view(3, 1, 1) / std).to(device, non_blocking=True)
    scale = (1 / std).to(device, non_blocking=True)
    chunk = CPU_CHUNK if device.type == "cpu" else max(n, 1)
    with torch.autocast(device.type, enabled=False):  # bf16 cannot tell 256 levels apart
        for start in range(0, n, chunk):
            some = slice(start, start + chunk)
            p = parameters[some]
            images = crop_and_resize(frames[some], p.boxes, flip=p.flip, size=size)
            if grayscale_first:
                _change(images, p.grayscale, _gray)
            for place in range(4):
                for op, adjust in enumerate(JITTER_OPS):
                    chosen = p.jitter & (p.jitter_order[:, place] == op)
                    _change(images, chosen, adjust, p.jitter_factors[:, op])
            if not grayscale_first:
                _change(images, p.grayscale, _gray)
            _change(images, p.blur, gaussian_blur, p.blur_sigma)
            torch.addcmul(shift, images, scale, out=view[some])
    return view


def _change(images: Tensor, chosen: Tensor, op: Callable[..., Tensor], *values: Tensor) -> None:
    """Replace the chosen samples by ``op(samples, *their values)``; mask and values are on the CPU.

    Only these samples pay for the op, and no device has to be asked which they are.
    """
    index = chosen.nonzero()[:, 0]
    if len(index) == 0:
        return
    values = tuple(value[index].to(images.device, non_blocking=True) for value in values)
    index = index.to(images.device, non_blocking=True)
    images.index_copy_(0, index, op(images.index_select(0, index), *values))


def _gray(images: Tensor) -> Tensor:
    return luma(images).expand_as(images)
