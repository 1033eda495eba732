"""Draw the map: frames in the plane, each a small picture in its own grid cell."""

import colorsys
from collections.abc import Callable, Sequence
from math import ceil, sqrt

import numpy as np
from PIL import Image, ImageDraw

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.features.feature_set import FeatureSet
from vidmoco.shapes import Float64, Int64
from vidmoco.visualize.display import MARGIN, QUIET, TEXT
from vidmoco.visualize.drawing import font
from vidmoco.visualize.layout import snap_to_grid
from vidmoco.visualize.thumbnails import thumbnails

_WIDTH, _HEIGHT = 1600, 1120
_CELL_WIDTHS = 64, 176  # pixels; smaller pictures are unreadable
_ASPECT = 1.6  # of a cell, between 16:9 and 4:3
_CELLS_PER_FRAME = 1.6  # if there is room
_HEAD = 76
_BORDER, _GAP = 2, 1


def draw_map(
    features: FeatureSet,
    rows: Int64[np.ndarray, " m"],
    points: Float64[np.ndarray, "m 2"],
    *,
    lines: Sequence[str] = (),
    limits: Limits = DEFAULT_LIMITS,
    on_read: Callable[[int], None] = lambda _: None,
) -> Image.Image:
    """Return a picture of the frames at their points, or one cell beside; some may not fit.

    Args:
        features: the files.
        rows: of the frames.
        points: their positions, from ``layout_2d``.
        lines: text below the headline, before the number of drawn frames.
        limits: of the videos.
        on_read: see ``thumbnails``.
    """
    wanted = _WIDTH / sqrt(len(rows) * _CELLS_PER_FRAME * _WIDTH / _HEIGHT / _ASPECT)
    width = int(np.clip(wanted, *_CELL_WIDTHS))
    height = ceil(width / _ASPECT)
    drawn, cells = snap_to_grid(points, columns=_WIDTH // width, rows=_HEIGHT // height)
    inner = width - 2 * (_BORDER + _GAP), height - 2 * (_BORDER + _GAP)
    pictures = thumbnails(features, rows[drawn], box=inner, limits=limits, on_read=on_read)
    head = _HEAD + 20 * len(lines)
    sheet = Image.new("RGB", (_WIDTH + 2 * MARGIN, _HEIGHT + head + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 6), "Map of frames", TEXT, font(20))
    caption = (
        f"{len(drawn):,} of {len(rows):,} frames are drawn, at most one cell from their position. "
        "Frames of one video have borders of one colour."
    )
    for n, line in enumerate([*lines, caption]):
        draw.text((MARGIN, MARGIN + 22 + 20 * n), line, QUIET, font())
    for row, (column, cell_row), picture in zip(
        rows[drawn].tolist(), cells.tolist(), pictures, strict=True
    ):
        x = MARGIN + column * width + (width - picture.width) // 2
        y = MARGIN + head + cell_row * height + (height - picture.height) // 2
        border = (x - _BORDER, y - _BORDER, x + picture.width + 1, y + picture.height + 1)
        draw.rectangle(border, video_colour(int(features.videos[row])))
        sheet.paste(picture, (x, y))
    return sheet


def video_colour(number: int) -> tuple[int, int, int]:
    """Return a colour for a video; consecutive numbers have distant colours."""
    # Steps of the golden ratio around the colour circle stay far apart for long.
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.75, 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)
