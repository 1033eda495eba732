"""Turn uint8 images into a backbone's input, as timm does: resize, centre crop, normalise.

Resize and crop run where the images are decoded (in a worker, on the CPU, in uint8); normalise runs
on the backbone's device. Evaluation and extraction share these functions, so that a frame of a
video and the same frame saved as an image have the same feature.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidmoco.backbones.feature_shape import width_of
from vidmoco.errors import ConfigError
from vidmoco.shapes import Float, UInt8
from vidmoco.text import reason_of

CropMode = Literal["center", "squash"]
_MOST_ASPECT = 64  # of an image that is resized whole


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How an image is prepared for the backbone; names and meanings are timm's."""

    size: int
    """Side of the square input, in pixels."""
    crop_pct: float
    """The crop's share of the resized image: the short side becomes floor(size / crop_pct)."""
    interpolation: Literal["bilinear", "bicubic"]
    """Filter of the (antialiased) resize."""
    mean: tuple[float, float, float]
    """Mean of each channel, for pixels from 0 to 1."""
    std: tuple[float, float, float]
    """Standard deviation of each channel, for pixels from 0 to 1."""
    crop_mode: CropMode = "center"
    """`center` resizes the short side and keeps the aspect ratio; `squash` resizes both sides."""

    def as_json(self) -> dict[str, Any]:
        """Return it as files keep it."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}


def preprocess_of(
    backbone: nn.Module, *, size: int | None = None, crop_mode: CropMode | None = None
) -> Preprocess:
    """Return the preprocessing that timm's ``pretrained_cfg`` states for a backbone.

    Args:
        backbone: A timm model. timm's defaults fill what its ``pretrained_cfg`` leaves out.
        size: Input side in pixels; None means the backbone's own.
        crop_mode: None means the backbone's own.

    Raises:
        ConfigError: the backbone needs something unsupported: an input that is not square or has
            not three channels, another filter or crop.
    """
    from timm.data import resolve_data_config  # here: processes that only resize need no timm

    config = resolve_data_config({}, model=backbone)
    require_three_channels(backbone, name="This backbone's preprocessing is not supported: it")
    _, height, width = config["input_size"]
    if size is not None:
        height = width = size
    crop_mode = crop_mode or config["crop_mode"]
    for holds, what in (
        (height == width, f"a {height} x {width} input (square ones are supported; give --size)"),
        (len(config["mean"]) == 3 and len(config["std"]) == 3, "a mean and std of 3 channels"),
        (
            config["interpolation"] in ("bilinear", "bicubic"),
            f"{config['interpolation']} interpolation (bilinear and bicubic are supported)",
        ),
        (
            crop_mode in ("center", "squash"),
            f"crop mode {crop_mode!r} (center and squash are supported; give --crop-mode)",
        ),
    ):
        if not holds:
            raise ConfigError(f"This backbone's preprocessing is not supported: it needs {what}.")
    return Preprocess(
        size=int(height),
        crop_pct=float(config["crop_pct"]),
        interpolation=config["interpolation"],
        mean=cast(tuple[float, float, float], tuple(float(x) for x in config["mean"])),
        std=cast(tuple[float, float, float], tuple(float(x) for x in config["std"])),
        crop_mode=crop_mode,
    )


def require_three_channels(backbone: Any, *, name: str) -> None:
    """Refuse a timm model for images that are not of three channels. ``name`` is for errors.

    Raises:
        ConfigError: it needs another number of channels.
    """
    channels = (backbone.pretrained_cfg.get("input_size") or (3,))[0]
    if channels != 3:
        raise ConfigError(f"{name} needs {channels} input channels (3 are supported).")


def resize_and_crop(
    image: UInt8[Tensor, "... 3 h w"],
    preprocess: Preprocess,
    *,
    aspect_ratio: float | None = None,
) -> UInt8[Tensor, "... 3 s s"]:
    """Resize and centre-crop images to the backbone's input, in uint8.

    Of an image more than 64 times as long as wide, only the middle is resized: a line of 1 x 3,000
    pixels took 2 GB. Its crop is the same but for rounding.

    Args:
        image: Images or frames of one size, on the CPU.
        preprocess: The backbone's preprocessing.
        aspect_ratio: Display width over height, for video whose pixels are not square. None means
            that pixels are square.
    """
    *leading, channels, height, width = image.shape
    size = preprocess.size
    new_height, new_width = _resized(height, width, preprocess, aspect_ratio=aspect_ratio)
    images = image.reshape(-1, channels, height, width)
    top, new_height = _middle(height, new_height, most=max(size, _MOST_ASPECT * new_width))
    left, new_width = _middle(width, new_width, most=max(size, _MOST_ASPECT * new_height))
    images = images[..., top : height - top, left : width - left]
    height, width = images.shape[-2:]
    if (new_height, new_width) != (height, width):
        images = F.interpolate(
            images, (new_height, new_width), mode=preprocess.interpolation, antialias=True
        )
    # As torchvision's CenterCrop, which timm uses: pad an image smaller than the crop (crop_pct
    # above 1) with zeros, and round half a pixel as Python does.
    pad_x, pad_y = max(size - new_width, 0), max(size - new_height, 0)
    if pad_x or pad_y:
        left, top = pad_x // 2, pad_y // 2
        images = F.pad(images, (left, pad_x - left, top, pad_y - top))
    top = round((images.shape[-2] - size) / 2.0)
    left = round((images.shape[-1] - size) / 2.0)
    images = images[..., top : top + size, left : left + size]
    return images.reshape(*leading, channels, size, size).contiguous()


def _middle(side: int, resized: int, *, most: int) -> tuple[int, int]:
    """Return how many pixels to leave out at both ends of a side, and what remains of ``resized``.

    It leaves out as many at both ends, so that the middle stays in the middle.
    """
    if resized <= most:
        return 0, resized
    ends = min((side - 1) // 2, int(side * (1 - most / resized) / 2))
    return ends, round(resized * (side - 2 * ends) / side)


def normalize(images: UInt8[Tensor, "n 3 s s"], preprocess: Preprocess) -> Float[Tensor, "n 3 s s"]:
    """Return float32 images, scaled to 0 to 1 and normalised by the backbone's mean and std."""
    mean = torch.tensor(preprocess.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(preprocess.std, device=images.device).view(3, 1, 1)
    return images.float().div_(255).sub_(mean).div_(std)


@torch.inference_mode()
def feature_dim(backbone: nn.Module, preprocess: Preprocess, *, name: str) -> int:
    """Return D of a backbone's (N, D) features, by passing one black image through it.

    Args:
        backbone: In eval mode.
        preprocess: Gives the input size.
        name: Name of the backbone for errors.

    Raises:
        ConfigError: the backbone cannot take images of this size (many ViTs have a fixed one), or
            its output is not one vector per image.
    """
    size = preprocess.size
    device = next((p.device for p in backbone.parameters()), torch.device("cpu"))
    try:
        features = backbone(torch.zeros(1, 3, size, size, device=device))
    except torch.OutOfMemoryError:
        raise
    except (AssertionError, RuntimeError, ValueError, IndexError, TypeError) as error:
        own = preprocess_of(backbone).size
        raise ConfigError(
            f"Backbone {name} cannot take images of {size} x {size} pixels"
            + (f"; its own size is {own}: leave out --size" if own != size else "")
            + f". Its error: {reason_of(error)}"
        ) from error
    return width_of(features, num_images=1, name=f"Backbone {name}")


def _resized(
    height: int, width: int, preprocess: Preprocess, *, aspect_ratio: float | None
) -> tuple[int, int]:
    # NOTE: timm and torchvision round by floor, and the long side by int(). Other rounding would
    # shift the crop by a pixel.
    short = max(1, math.floor(preprocess.size / preprocess.crop_pct))
    if preprocess.crop_mode == "squash":
        return short, short
    if aspect_ratio is not None:
        if aspect_ratio >= 1:
            return short, max(1, int(short * aspect_ratio))
        return max(1, int(short / aspect_ratio)), short
    if width <= height:
        return max(1, int(short * height / width)), short
    return short, max(1, int(short * width / height))
