"""The map: frames in the plane, each a small picture in a cell of its own."""

import colorsys
from collections.abc import Callable, Sequence
from math import ceil, sqrt

import numpy as np
from PIL import Image, ImageDraw

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.features.feature_set import FeatureSet
from vidmoco.shapes import Float64, Int64
from vidmoco.visualize.contact_sheet import font
from vidmoco.visualize.display import MARGIN, QUIET, TEXT
from vidmoco.visualize.layout import snap_to_grid
from vidmoco.visualize.thumbnails import thumbnails

_WIDTH, _HEIGHT = 1600, 1120
_CELL_WIDTHS = 64, 176  # pixels; smaller ones show nothing
_ASPECT = 1.6  # of a cell, between 16:9 and 4:3
_FREE = 1.6  # cells a frame, where there is room
_HEAD = 76
_BORDER, _GAP = 2, 1


def draw_map(
    features: FeatureSet,
    rows: Int64[np.ndarray, " m"],
    points: Float64[np.ndarray, "m 2"],
    *,
    title: str = "Map of frames",
    lines: Sequence[str] = (),
    limits: Limits = DEFAULT_LIMITS,
    on_read: Callable[[int], None] = lambda _: None,
) -> Image.Image:
    """Return the picture of frames at (or a cell beside) their points; those too near are left out.

    Args:
        features: knows the videos.
        rows: of the frames.
        points: their places, of ``layout_2d``.
        title: above it.
        lines: one or two of words under the title; how many frames are drawn follows.
        limits: of reading the frames.
        on_read: as for ``thumbnails``.
    """
    wanted = _WIDTH / sqrt(len(rows) * _FREE * _WIDTH / _HEIGHT / _ASPECT)
    width = int(np.clip(wanted, *_CELL_WIDTHS))
    height = ceil(width / _ASPECT)
    columns, lines_of_cells = _WIDTH // width, _HEIGHT // height
    which, cells = snap_to_grid(points, columns=columns, rows=lines_of_cells)
    inner = width - 2 * (_BORDER + _GAP), height - 2 * (_BORDER + _GAP)
    pictures = thumbnails(features, rows[which], box=inner, limits=limits, on_read=on_read)
    head = _HEAD + 20 * len(lines)
    sheet = Image.new("RGB", (_WIDTH + 2 * MARGIN, _HEIGHT + head + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 6), title, TEXT, font(20))
    told = (
        f"{len(which):,} of {len(rows):,} frames are drawn, one a cell and at most a cell from its "
        "place. Borders of one colour: one video."
    )
    for n, line in enumerate([*lines, told]):
        draw.text((MARGIN, MARGIN + 22 + 20 * n), line, QUIET, font())
    for row, (column, line_of_cells), picture in zip(
        rows[which].tolist(), cells.tolist(), pictures, strict=True
    ):
        x = MARGIN + column * width + (width - picture.width) // 2
        y = MARGIN + head + line_of_cells * height + (height - picture.height) // 2
        frame = (x - _BORDER, y - _BORDER, x + picture.width + 1, y + picture.height + 1)
        draw.rectangle(frame, video_colour(int(features.videos[row])))
        sheet.paste(picture, (x, y))
    return sheet


def video_colour(number: int) -> tuple[int, int, int]:
    """Return a colour for a video; those of following numbers are far from each other."""
    # The golden ratio's steps around the circle never come near each other soon.
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.75, 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)
