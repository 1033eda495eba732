"""What all pictures use: the font, texts that fit, round numbers of axes, smaller frames.

Processes that shrink frames import this file, so it imports little.
"""

from functools import cache
from math import floor, log10

import numpy as np
from PIL import Image, ImageFont

from vidmoco.shapes import UInt8
from vidmoco.video.info import VideoInfo

Box = tuple[int, int]
"""Greatest width and height in pixels."""


@cache
def font(size: int = 14) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of all pictures; it knows ASCII and little more, so texts are escaped."""
    return ImageFont.load_default(size)


def shortened(text: str, width: int, *, size: int = 14) -> str:
    """Return ``text``, without its middle where it is wider than ``width`` pixels."""
    short, keep = text, min(len(text), width)
    while keep > 0 and font(size).getlength(short) > width:
        keep -= 1
        short = f"{text[: keep // 2]} … {text[len(text) - keep + keep // 2 :]}"
    return short


def round_step(end: float, *, most: int) -> float:
    """Return the smallest of 1, 2 or 5 times a power of ten that reaches ``end`` in ``most``."""
    if end <= 0:
        return 1.0
    power = 10.0 ** floor(log10(end / most))
    return next(n * power for n in (1, 2, 5, 10) if n * power * most >= end * (1 - 1e-9))


def shrink_all(
    box: Box, video: VideoInfo, images: UInt8[np.ndarray, "t h w 3"]
) -> UInt8[np.ndarray, "t new_h new_w 3"]:
    """Return the frames of a video as ``shrink`` makes them."""
    return np.stack([shrink(image, video.aspect_ratio, box) for image in images])


def shrink(
    image: UInt8[np.ndarray, "h w 3"], aspect_ratio: float, box: Box
) -> UInt8[np.ndarray, "new_h new_w 3"]:
    """Return a picture as large as fits in ``box`` at its displayed width / height."""
    width = min(box[0], box[1] * aspect_ratio)
    size = max(1, round(width)), max(1, min(box[1], round(width / aspect_ratio)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
