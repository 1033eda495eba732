"""Line charts as inline SVG, without libraries.

Colours are CSS classes (``s0`` …) with a light and a dark value. Each line also has its own dash
pattern, for readers who cannot tell the colours apart. A hidden column at each x has a ``<title>``,
which browsers show on hover; ``scripts/charts.js`` shows it sooner, and by arrow keys.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from vidmoco.report.axes import Scale, inner_ticks, number, round_ticks, tick_labels
from vidmoco.report.markup import render

WIDTH, HEIGHT = 360, 196  # pixels; about the display size on all screens
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 30
COLOURS, DASHES = 6, 5  # number in the style; they have no common factor, so 30 lines differ
_MOST_POINTS, _MOST_COLUMNS, _DOTS = 400, 120, 30


@dataclass(frozen=True)
class Series:
    """A line: its name and its points (x, y), x ascending. A non-finite y is a gap."""

    name: str
    points: Sequence[tuple[float, float]]


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_name: str,
    unit: str = "",
    about: str = "",
    mark: tuple[float, str] | None = None,
    low: float | None = None,
    high: float | None = None,
    x_ticks: Sequence[tuple[float, str]] | None = None,
) -> Markup:
    """Return a figure, or an empty text if no series has a point.

    Args:
        title: Title of the figure.
        series: The lines.
        x_name: Name of the x axis.
        unit: Follows each value, such as `` %``.
        about: A sentence below the title.
        mark: A value of y to mark by a horizontal line, and its name.
        low: A value of y that the axis includes.
        high: Another value of y that the axis includes.
        x_ticks: Values and texts of the x axis; the default is round numbers.
    """
    shown = [Series(s.name, [p for p in s.points if math.isfinite(p[0])]) for s in series]
    values = [y for s in shown for _, y in s.points if math.isfinite(y)]
    if not values:
        return Markup("")
    xs = sorted({x for s in shown for x, _ in s.points})
    included = [v for v in (low, high, mark[0] if mark else None) if v is not None]
    ticks = round_ticks(min([*values, *included]), max([*values, *included]))
    x_range = (xs[0], xs[-1]) if xs[0] < xs[-1] else (xs[0] - 1, xs[0] + 1)
    x = Scale(*x_range, _LEFT, WIDTH - _RIGHT)
    y = Scale(ticks[0], ticks[-1], HEIGHT - _BOTTOM, _TOP)
    named = x_ticks is not None
    if x_ticks is None:
        places = inner_ticks(xs[0], xs[-1], most=5)
        x_ticks = list(zip(places, tick_labels(places), strict=True))
    x_texts = dict(x_ticks) if named else {}
    return render(
        "line_chart",
        title=title,
        about=about,
        width=WIDTH,
        height=HEIGHT,
        left=_LEFT,
        right=WIDTH - _RIGHT,
        top=_TOP,
        bottom=HEIGHT - _BOTTOM,
        y_ticks=[(y.place(v), text) for v, text in zip(ticks, tick_labels(ticks), strict=True)],
        x_ticks=[(x.place(at), text) for at, text in x_ticks],
        x_name=x_name,
        mark=None if mark is None else y.place(mark[0]),
        lines=[_line(n, thinned(s.points), x, y) for n, s in enumerate(shown)],
        columns=_columns(shown, xs, x, x_name=x_name, x_texts=x_texts, unit=unit),
        legend=_legend(shown, unit, mark),
    )


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most 400 points that look the same: minimum and maximum of each part."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    num_parts = _MOST_POINTS // 2
    kept: list[tuple[float, float]] = []
    for n in range(num_parts):
        part = points[n * len(points) // num_parts : (n + 1) * len(points) // num_parts]
        finite = [p for p in part if math.isfinite(p[1])]
        ends = {min(finite, key=_y), max(finite, key=_y)} if finite else {part[0]}
        kept += sorted(ends)
    return kept


def _y(point: tuple[float, float]) -> float:
    return point[1]


def _line(n: int, points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> dict[str, Any]:
    """Return the CSS classes and the SVG path of a line with its gaps, and dots if they are few."""
    path, pen_is_up = [], True
    dots = []
    for at, value in points:
        if not math.isfinite(value):
            pen_is_up = True
            continue
        path.append(f"{'M' if pen_is_up else 'L'}{x.place(at):.1f} {y.place(value):.1f}")
        pen_is_up = False
        dots.append((x.place(at), y.place(value)))
    return {"look": _look(n), "path": "".join(path), "dots": dots if len(dots) <= _DOTS else []}


def _look(n: int) -> str:
    return f"s{n % COLOURS} d{n % DASHES}"


def _columns(
    series: Sequence[Series],
    xs: Sequence[float],
    x: Scale,
    *,
    x_name: str,
    x_texts: dict[float, str],
    unit: str,
) -> list[tuple[float, float, str, list[int]]]:
    """Return left, width, text and series of a hidden column around each x, at most 120.

    A series that has no point at x, because it is of another run, says its nearest one within its
    ends.
    """
    step = math.ceil(len(xs) / _MOST_COLUMNS)
    kept = list(xs[::-1][::step])[::-1]  # includes the last
    found = [dict(s.points) for s in series]
    places = [sorted(known) for known in found]
    columns = []
    for n, at in enumerate(kept):
        left = (x.place(kept[n - 1]) + x.place(at)) / 2 if n else x.start
        right = (x.place(at) + x.place(kept[n + 1])) / 2 if n + 1 < len(kept) else x.end
        lines, numbers = [f"{x_name} {x_texts.get(at) or number(at)}"], []
        for index, one in enumerate(series):
            near = _nearest(places[index], at)
            if near is not None:
                elsewhere = "" if near == at else f" ({x_texts.get(near) or number(near)})"
                name = " ".join(one.name.split())  # a line of its own
                lines.append(f"{name} {number(found[index][near], unit)}{elsewhere}")
                numbers.append(index)
        columns.append((left, max(right - left, 0.1), "\n".join(lines), numbers))
    return columns


def _nearest(xs: Sequence[float], at: float) -> float | None:
    """Return the nearest of ascending ``xs``, or None if ``at`` is beyond their ends."""
    if not xs or not xs[0] <= at <= xs[-1]:
        return None
    n = bisect_left(xs, at)
    return min(xs[max(n - 1, 0) : n + 1], key=lambda x: abs(x - at))


def _legend(
    series: Sequence[Series], unit: str, mark: tuple[float, str] | None
) -> list[tuple[str, str, str, int | None]]:
    """Return CSS classes, name, last value and number of each line with values, then of the mark.

    The mark is named here because a curve could run through its name in the drawing.
    """
    entries: list[tuple[str, str, str, int | None]] = []
    for n, one in enumerate(series):
        last = next((v for _, v in reversed(one.points) if math.isfinite(v)), None)
        if last is not None:
            entries.append((f"line {_look(n)}", one.name, number(last, unit), n))
    if mark is not None:
        entries.append(("mark", mark[1], number(mark[0], unit), None))
    return entries
