"""One image file of any common kind to RGB uint8, or a clear refusal."""

import io
import warnings
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from vidmoco.errors import DataError
from vidmoco.shapes import UInt8

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"}
)
# What those suffixes hold, and nothing else: PIL would hand an EPS file to an external interpreter.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")


def decode_image(data: bytes) -> UInt8[Tensor, "3 h w"]:
    """Decode an image file to RGB, turned as its EXIF orientation says.

    Grey, palette and CMYK images become RGB. Transparent ones are laid over white: cut-out pictures
    and line drawings are made for white paper, and black lines would vanish over black. 16-bit grey
    is scaled to 8 bits (PIL by itself would clip it). Of an animation, the first frame. Colour
    profiles are ignored, as torchvision and timm do.

    Raises:
        DataError: the file is damaged, cut off, empty, not an image, larger than PIL's limit
            against decompression bombs, or of a kind whose range of values is not known.
    """
    if not data:
        raise DataError("the file is empty")
    try:
        # PIL warns of odd metadata and of large images; the pixels decide here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_formats_here()) as opened:
                opened.load()
                file_format = opened.format
                image = ImageOps.exif_transpose(opened)
    except Exception as error:  # a decoder can fail with anything; the caller lists the reason
        reason = " ".join(str(error).split()).replace(" <_io.BytesIO object", "").split(" at 0x")[0]
        raise DataError(f"{type(error).__name__}: {reason}") from error
    rgb = np.array(_to_rgb(image, file_format=file_format))
    return torch.from_numpy(rgb).permute(2, 0, 1)


@cache
def _formats_here() -> list[str]:
    """Return those of the formats that this build of PIL reads."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _to_rgb(image: Image.Image, *, file_format: str | None) -> Image.Image:
    mode = image.mode
    # Older PIL opens a 16-bit grey PNG as "I"; elsewhere that mode is 32 bits of unknown range.
    if mode.startswith("I;16") or (mode == "I" and file_format in ("PNG", "PPM")):
        values = np.asarray(image).astype(np.int64)
        # 65535 / 255 = 257; half of it rounds.
        return Image.fromarray(((values + 128) // 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if mode in ("I", "F"):
        raise DataError(f"its pixels (mode {mode}) have no known range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
