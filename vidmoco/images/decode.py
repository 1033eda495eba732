"""Decode an image file of any common format to RGB uint8, or refuse it with a reason."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from vidmoco.errors import DataError
from vidmoco.shapes import UInt8

# The formats of ``IMAGE_SUFFIXES`` only: PIL would give an EPS file to an external interpreter.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
_ENDS = (b"\xff\xd9", b"IEND\xaeB`\x82")  # of whole JPEG and PNG files
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_ANIMATED = ("PNG", "WEBP", "GIF", "AVIF")


def decode_image(data: bytes, *, at_least: int | None = None) -> UInt8[Tensor, "3 h w"]:
    """Decode an image file to RGB, turned as its EXIF orientation says.

    Grey, palette and CMYK images become RGB. Transparent images are put on white, because cut-outs
    and line drawings are made for white paper. 16-bit grey is scaled to 8 bits (PIL would clip it).
    An animation gives its first frame. Colour profiles are ignored, as in torchvision and timm.

    With ``at_least`` a large JPEG file is decoded at a half, a quarter or an eighth of its size, as
    long as no side gets shorter than so many pixels: its inverse transform makes fewer of them.

    Raises:
        DataError: the file is empty, damaged, cut off or not an image, exceeds PIL's limit against
            decompression bombs, or has pixels of an unknown range.
    """
    if not data:
        raise DataError("the file is empty")
    with _refusals(), Image.open(io.BytesIO(data), formats=_formats_here()) as opened:
        if at_least is not None:
            opened.draft(None, (at_least, at_least))
        return rgb_of(opened)


def rgb_of(image: Image.Image) -> UInt8[Tensor, "3 h w"]:
    """Return an image of PIL as ``decode_image`` does that of its file; the image stays as it is.

    Raises:
        DataError: it is damaged or cut off, or has pixels of an unknown range.
    """
    with _refusals():
        image.load()
        rgb = np.array(_to_rgb(upright(image), file_format=image.format))
    return torch.from_numpy(rgb).permute(2, 0, 1)


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF orientation says."""
    image.getexif()
    # Else PIL writes the other tags for the turned image, and fails where one has an odd type.
    exif = image.info.pop("exif", None)
    try:
        return ImageOps.exif_transpose(image)
    finally:
        if exif is not None:
            image.info["exif"] = exif


def is_animation(data: bytes) -> bool:
    """Return whether an image file is an animation; a JPEG or TIFF of several pictures is not.

    Raises:
        DataError: the file is damaged, or not an image.
    """
    with _refusals(), Image.open(io.BytesIO(data), formats=_formats_here()) as opened:
        return opened.format in _ANIMATED and bool(getattr(opened, "is_animated", False))


def glance(file: BinaryIO) -> tuple[int, int, bool]:
    """Return width and height of an opened image file in pixels, and whether it ends as whole ones.

    The size is that of the image turned as its EXIF orientation says, as ``decode_image`` returns
    it. Only the header and the last bytes are read. A file may be whole without the end of a JPEG
    or PNG file, but hardly cut off with it.

    Raises:
        DataError: the file is empty, or not an image.
    """
    with _refusals():
        if file.seek(0, io.SEEK_END) == 0:
            raise DataError("the file is empty")
        file.seek(-min(file.tell(), max(map(len, _ENDS))), io.SEEK_END)
        has_end = file.read().endswith(_ENDS)
        file.seek(0)
        with Image.open(file, formats=_formats_here()) as opened:
            width, height = opened.size
            is_turned = opened.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
    return (height, width, has_end) if is_turned else (width, height, has_end)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the many kinds of errors of decoders into one, whose reason the caller lists."""
    try:
        # PIL warns about odd metadata and large images. Only errors matter here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(_reason(error)) from error


def _reason(error: Exception) -> str:
    reason = re.sub(r" <_io.*", "", " ".join(str(error).split()))
    return f"{type(error).__name__}: {reason}"


@cache
def _formats_here() -> list[str]:
    """Return the formats that this build of PIL can read."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _to_rgb(image: Image.Image, *, file_format: str | None) -> Image.Image:
    mode = image.mode
    # Older PIL opens a 16-bit grey PNG as "I"; elsewhere that mode is 32 bits of unknown range.
    if mode.startswith("I;16") or (mode == "I" and file_format in ("PNG", "PPM")):
        values = np.asarray(image).astype(np.int64)
        # 65535 / 255 = 257. Adding 128 rounds to nearest.
        return Image.fromarray(((values + 128) // 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if mode in ("I", "F"):
        raise DataError(f"its pixels (mode {mode}) have no known range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
