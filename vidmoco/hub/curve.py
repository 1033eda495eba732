"""The curves of a training as a PNG, which the Hub shows in a model card."""

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from vidmoco.report.axes import Scale, inner_ticks, round_ticks, tick_labels
from vidmoco.report.curves import points_of, x_name_of
from vidmoco.report.line_chart import thinned
from vidmoco.visualize.drawing import font

_ZOOM = 2  # for screens of high density; lines are drawn twice as large and shrunk
_PANEL = (380, 230)
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 34, 34
_INK, _QUIET, _GRID, _LINE, _PAPER = "#1a1b1e", "#5b6068", "#e2e2de", "#0072b2", "#ffffff"
_CURVES = (
    ("loss_minus_chance", "Loss minus chance"),
    ("top1", "The positive among all keys: top-1, %"),
)
_MONITOR = ("knn_top1", "k-NN accuracy of the monitor, %")
Points = Sequence[tuple[float, float]]


def training_curve(
    metrics: Sequence[dict[str, Any]], monitor: Sequence[dict[str, Any]]
) -> Image.Image | None:
    """Return the curves of loss, accuracy and monitor side by side, or None if there are none."""
    wanted = [(metrics, *curve) for curve in _CURVES] + [(monitor, *_MONITOR)]
    panels = []
    for lines, key, title in wanted:
        points = [(x, y) for x, y in points_of(lines, key) if math.isfinite(x) and math.isfinite(y)]
        if points:
            panels.append((title, points, x_name_of(lines)))
    if not panels:
        return None
    width, height = _PANEL
    picture = Image.new("RGB", (_ZOOM * width * len(panels), _ZOOM * height), _PAPER)
    for n, panel in enumerate(panels):
        picture.paste(_panel(*panel), (_ZOOM * width * n, 0))
    return picture


def _panel(title: str, points: Points, x_name: str) -> Image.Image:
    width, height = (2 * _ZOOM * side for side in _PANEL)
    unit = 2 * _ZOOM
    picture = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    ticks = round_ticks(min(y for _, y in points), max(y for _, y in points))
    first, last = points[0][0], points[-1][0]
    ends = (first, last) if first < last else (first - 1, first + 1)
    x = Scale(*ends, _LEFT * unit, width - _RIGHT * unit)
    y = Scale(ticks[0], ticks[-1], height - _BOTTOM * unit, _TOP * unit)

    def write(at: tuple[float, float], words: str, anchor: str, *, size: int = 11) -> None:
        words = words.replace("\u2212", "-")  # the font has no other minus sign
        colour = _INK if size > 11 else _QUIET
        draw.text(at, words, colour, font(size * unit), anchor=anchor)

    write((_LEFT * unit, 10 * unit), title, "lt", size=13)
    for value, words in zip(ticks, tick_labels(ticks), strict=True):
        level = y.place(value)
        draw.line([(x.start, level), (x.end, level)], _GRID, unit)
        write((x.start - 6 * unit, level), words, "rm")
    places = inner_ticks(first, last, most=5)
    for value, words in zip(places, tick_labels(places), strict=True):
        write((x.place(value), y.start + 6 * unit), words, "mt")
    write((x.end, height - 4 * unit), x_name, "rb")
    line = [(x.place(a), y.place(b)) for a, b in thinned(points)]
    if len(line) > 1:
        draw.line(line, _LINE, 2 * unit, joint="curve")
    a, b = line[-1]
    draw.ellipse([a - 3 * unit, b - 3 * unit, a + 3 * unit, b + 3 * unit], fill=_LINE)
    return picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS)
