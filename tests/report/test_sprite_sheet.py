from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from vidmoco.report.sprite_sheet import sprite_sheet

BOX = (96, 72)


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_each_picture_is_in_its_box_and_none_bleeds_into_another(count):
    rng = np.random.default_rng(count)
    sizes = [(96, 54), (40, 72), (96, 72), (1, 72), (33, 17)]
    colours = rng.integers(0, 256, (count, 3)).tolist()
    pictures = [
        Image.new("RGB", sizes[n % len(sizes)], tuple(colour)) for n, colour in enumerate(colours)
    ]
    sheet = sprite_sheet(pictures, box=BOX)
    with Image.open(BytesIO(sheet.jpeg)) as opened:
        image = opened.convert("RGB")
    assert image.size == sheet.size and len(sheet.boxes) == count
    for picture, colour, (left, top, width, height) in zip(
        pictures, colours, sheet.boxes, strict=True
    ):
        assert (max(picture.width - 2, 1), max(picture.height - 2, 1)) == (width, height)
        part = np.asarray(image)[top : top + height, left : left + width]
        assert np.abs(part - np.array(colour)).max() <= 6  # whole: no black, no neighbour
    assert max(sheet.size) < 1500 or count > 60
