"""Many small pictures as one JPEG file, which costs less than a file for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil, sqrt

from PIL import Image

from vidmoco.visualize.drawing import Box

_BLOCK = 16  # pixels that JPEG codes together with halved colours; across it neighbours would bleed
_QUALITY = 75


@dataclass(frozen=True)
class SpriteSheet:
    """A JPEG file of pictures side by side."""

    jpeg: bytes
    size: Box
    boxes: list[tuple[int, int, int, int]]
    """Left, top, width and height of each picture, in pixels, without the outermost pixels, in
    which decoders mix its colours with its neighbours'."""


def sprite_sheet(pictures: Sequence[Image.Image], *, box: Box) -> SpriteSheet:
    """Return a sheet of pictures that are no larger than ``box``."""
    wide, high = (ceil(side / _BLOCK) * _BLOCK for side in box)
    columns = max(1, round(sqrt(len(pictures) * high / wide)))
    sheet = Image.new("RGB", (columns * wide, max(1, ceil(len(pictures) / columns)) * high))
    boxes: list[tuple[int, int, int, int]] = []
    for n, picture in enumerate(pictures):
        left, top = n % columns * wide, n // columns * high
        # Its colours go on to the end of its blocks, or the black beside it would bleed in.
        width, height = (ceil(side / _BLOCK) * _BLOCK for side in picture.size)
        sheet.paste(picture.resize((width, height)), (left, top))
        sheet.paste(picture, (left, top))
        boxes.append((left + 1, top + 1, max(picture.width - 2, 1), max(picture.height - 2, 1)))
    buffer = BytesIO()
    sheet.save(buffer, format="JPEG", quality=_QUALITY)
    return SpriteSheet(buffer.getvalue(), sheet.size, boxes)
