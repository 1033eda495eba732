"""The random parameters of one view of a batch, drawn on the host.

All random numbers come from an explicit CPU generator. So they are the same for every device, a
checkpoint saves one state, and the device never waits for the host.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Generator, Tensor

from vidmoco.shapes import Bool, Float, Int64

# Both are those of torchvision's RandomResizedCrop.
CROP_ASPECTS = (3 / 4, 4 / 3)  # width / height
CROP_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class ViewParameters:
    """The parameters of one view, for each sample of a batch. All tensors are on the CPU.

    Attributes:
        boxes: crops (left, top, width, height), as fractions of the picture and of its canvas.
        flip: whether the view is mirrored left to right.
        jitter: whether the colour jitter is applied.
        jitter_factors: factors of brightness, contrast and saturation (1 is neutral), and the hue
            shift in turns of the colour wheel (0 is neutral).
        jitter_order: the columns of ``jitter_factors`` in the order of application.
        grayscale: whether the view is converted to greyscale.
        blur: whether the Gaussian blur is applied.
        blur_sigma: standard deviation of the blur in pixels of the view.
        solarize: whether bright pixels are inverted.
    """

    boxes: Float[Tensor, "n 4"]
    flip: Bool[Tensor, "n"]
    jitter: Bool[Tensor, "n"]
    jitter_factors: Float[Tensor, "n 4"]
    jitter_order: Int64[Tensor, "n 4"]
    grayscale: Bool[Tensor, "n"]
    blur: Bool[Tensor, "n"]
    blur_sigma: Float[Tensor, "n"]
    solarize: Bool[Tensor, "n"]

    def __getitem__(self, samples: slice) -> "ViewParameters":
        """Return the parameters of a slice of the batch."""
        return ViewParameters(**{f.name: getattr(self, f.name)[samples] for f in fields(self)})


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
    solarize_probability: float,
) -> ViewParameters:
    """Draw the parameters of one view of N samples.

    The number of draws depends on N only. So from the same generator state, MoCo v1, v2 and v3 have
    the same crops and flips.

    Args:
        generator: a CPU generator.
        aspect_ratios: displayed width / height of each picture, on the CPU.
        crop_scale: smallest and largest area of a crop, as a fraction of the picture's area.
        flip_probability: probability of a horizontal flip.
        jitter_probability: probability of the colour jitter.
        jitter_strengths: x of brightness, contrast, saturation (factor from max(0, 1 - x) to 1 + x)
            and hue (shift from -x to x turns), as in torchvision's ColorJitter.
        grayscale_probability: probability of a greyscale view.
        blur_probability: probability of a Gaussian blur.
        blur_sigma: smallest and largest standard deviation in pixels of the view.
        solarize_probability: probability that bright pixels are inverted.

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
    flip = uniform(n) < flip_probability
    jitter = uniform(n) < jitter_probability
    jitter_factors = uniform_between(least, neutral + strengths)
    return ViewParameters(
        boxes=boxes,
        flip=flip,
        jitter=jitter,
        jitter_factors=jitter_factors,
        jitter_order=uniform(n, 4).argsort(1),
        grayscale=uniform(n) < grayscale_probability,
        blur=uniform(n) < blur_probability,
        blur_sigma=uniform_between(*torch.tensor(blur_sigma)[:, None])[:, 0],
        solarize=uniform(n) < solarize_probability,
    )


def _draw_boxes(
    aspects: Tensor, scale: tuple[float, float], uniform: Callable[..., Tensor]
) -> Tensor:
    """Return crops (N, 4) as fractions of the picture, distributed as in RandomResizedCrop.

    Boxes are drawn in the picture as displayed, of size aspect x 1. The canvas that a frame was
    squashed to may have any shape: the fractions are the same on both, so views are not distorted.

    NOTE: torchvision rounds boxes to whole pixels. Here they are real numbers, whatever the canvas.
    """
    valid = aspects.isfinite() & (aspects > 0)
    if not valid.all():
        raise ValueError(
            f"An aspect ratio is {aspects[~valid][0].item()}; expected displayed width / height, "
            "a finite number greater than 0."
        )
    n = len(aspects)
    narrowest, widest = CROP_ASPECTS
    area = scale[0] + (scale[1] - scale[0]) * uniform(n, CROP_TRIES)
    crop_aspect = narrowest * (widest / narrowest) ** uniform(n, CROP_TRIES)  # its log is uniform
    relative = crop_aspect / aspects[:, None]  # width / height, both as fractions of the picture
    widths, heights = (area * relative).sqrt(), (area / relative).sqrt()
    fits = (widths <= 1) & (heights <= 1)
    fitted, first = fits.any(1), fits.byte().argmax(1, keepdim=True)
    # If no try fits, take the largest centred crop of the nearest allowed aspect.
    nearest = aspects.clamp(narrowest, widest) / aspects
    width = torch.where(fitted, widths.gather(1, first)[:, 0], nearest.clamp(max=1))
    height = torch.where(fitted, heights.gather(1, first)[:, 0], (1 / nearest).clamp(max=1))
    place = torch.where(fitted[:, None], uniform(n, 2), 0.5)
    return torch.stack([place[:, 0] * (1 - width), place[:, 1] * (1 - height), width, height], 1)
