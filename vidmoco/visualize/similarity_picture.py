"""Draw similarity over time: each frame of a video with each other frame."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from vidmoco.features.feature_set import FeatureSet
from vidmoco.shapes import Float32, UInt8
from vidmoco.text import in_ascii
from vidmoco.visualize.display import MARGIN, MARK, QUIET, RULE, SPACE, TEXT
from vidmoco.visualize.drawing import font, shortened
from vidmoco.visualize.shots import Shot
from vidmoco.visualize.timeline_axis import TimeAxis

_SIDE, _MOST_COLUMNS = 300, 4
_LEFT, _TOP, _BOTTOM = 40, 24, 30  # for seconds, the name, and seconds
_HEAD = 92
# Five points of matplotlib's viridis, which is perceptually uniform.
_RAMP = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])


def draw_similarity(
    features: FeatureSet, numbers: Sequence[int], shots: Sequence[Shot]
) -> Image.Image:
    """Return a panel for each file of ``numbers``, all with the same colour scale.

    Both axes are seconds, from the first frame at the top left corner. Shot boundaries are marked
    at the upper and left side, and drawn as fine lines.
    """
    axes = [TimeAxis(features, number, length=_SIDE) for number in numbers]
    matrices = []
    for axis in axes:
        unit = features.take(axis.rows(_SIDE))
        matrices.append(unit @ unit.T)
    lowest = np.quantile(np.stack(matrices), 0.01)
    low = float(np.clip(np.floor(lowest * 20) / 20, -1, 0.95))
    columns = min(_MOST_COLUMNS, len(axes))
    step_x, step_y = _LEFT + _SIDE + 2 * SPACE, _TOP + _SIDE + _BOTTOM + SPACE
    width = max(2 * MARGIN + columns * step_x, 560)
    height = MARGIN + _HEAD + -(-len(axes) // columns) * step_y
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 6), "Similarity of frames over time", TEXT, font(20))
    caption = "Cosine of each frame with each other frame; seconds on both axes."
    draw.text((MARGIN, MARGIN + 22), caption, QUIET, font())
    draw.line((MARGIN, MARGIN + 51, MARGIN + 14, MARGIN + 51), MARK)
    draw.text((MARGIN + 22, MARGIN + 42), "candidate of a new shot", QUIET, font())
    _draw_legend(sheet, draw, low, left=MARGIN + 230, top=MARGIN + 44)
    for n, (number, axis, matrix) in enumerate(zip(numbers, axes, matrices, strict=True)):
        x = MARGIN + n % columns * step_x + _LEFT
        y = MARGIN + _HEAD + n // columns * step_y + _TOP
        sheet.paste(Image.fromarray(coloured(matrix, low)), (x, y))
        name = shortened(in_ascii(features.files[number].name), _SIDE, size=12)
        draw.text((x, y - 20), name, TEXT, font(12))
        own = range(axis.first_row, axis.first_row + len(axis.times))
        for place, text in axis.ticks(5):
            draw.line((x + place, y + _SIDE + 1, x + place, y + _SIDE + 4), QUIET)
            draw.text((x + place, y + _SIDE + 6), text, QUIET, font(11), anchor="ma")
            draw.line((x - 5, y + place, x - 2, y + place), QUIET)
            draw.text((x - 7, y + place), text, QUIET, font(11), anchor="rm")
        for shot in shots:
            if shot.row in own:
                place = axis.pixel(float(features.times[shot.row]))
                draw.line((x + place, y - 5, x + place, y + _SIDE), MARK)
                draw.line((x - 5, y + place, x + _SIDE, y + place), MARK)
        draw.rectangle((x - 1, y - 1, x + _SIDE, y + _SIDE), outline=RULE)
    return sheet


def coloured(values: Float32[np.ndarray, "h w"], low: float) -> UInt8[np.ndarray, "h w 3"]:
    """Return the colours of values from ``low`` (dark) to 1 (bright)."""
    places = ((values - low) / (1 - low)).clip(0, 1) * (len(_RAMP) - 1)
    channels = [np.interp(places, np.arange(len(_RAMP)), _RAMP[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _draw_legend(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, low: float, *, left: int, top: int
) -> None:
    ramp = np.tile(np.linspace(low, 1, 160, dtype=np.float32), (14, 1))
    draw.text((left - 8, top + 7), f"{low:.2f} or less", QUIET, font(12), anchor="lm")
    left += 66
    sheet.paste(Image.fromarray(coloured(ramp, low)), (left, top))
    draw.text((left + 168, top + 7), "1", QUIET, font(12), anchor="lm")
