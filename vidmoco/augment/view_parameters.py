"""Every random number of one view of a batch, drawn on the host: ``draw_view``.

All randomness comes from an explicit CPU generator: the same numbers on every device, one state to
save in a checkpoint, no device that waits for the host.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Generator, Tensor

from vidmoco.shapes import Bool, Float, Int64

CROP_ASPECTS = (3 / 4, 4 / 3)  # width / height; this and the tries: torchvision's RandomResizedCrop
CROP_TRIES = 10


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
        solarize: whether its bright pixels are inverted.
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
        """Return the parameters of some samples of the batch."""
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

    How many numbers are drawn depends on N alone: from one generator state, v1, v2 and v3 draw the
    same crops and flips.

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
        solarize_probability: of the inversion of bright pixels.

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
