"""Lines over one axis, as a figure with inline SVG that needs neither scripts nor libraries.

Colours are classes (``s0`` …) that the page's style gives for light and dark. As colour alone says
nothing to some readers, each line has a dash of its own too. A hidden column at each x has a
``<title>``, which browsers show on hover.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vidmoco.report.axes import Scale, inner_ticks, number, round_ticks, tick_labels
from vidmoco.report.markup import Html, element, joined

WIDTH, HEIGHT = 360, 196  # of the picture; it is shown about as large on screens of any size
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 30
COLOURS, DASHES = 6, 5  # of the style; no common factor, so 30 lines differ
_MOST_POINTS, _MOST_COLUMNS, _DOTS = 400, 120, 30


@dataclass(frozen=True)
class Series:
    """A line: its name and its points (x, y), x ascending; y that are not finite are gaps."""

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
) -> Html:
    """Return a figure; an empty text where no series has a point.

    Args:
        title: What is drawn.
        series: The lines.
        x_name: Name of the x axis.
        unit: Put after each value, such as `` %``.
        about: A sentence under the title.
        mark: A value of y to mark by a line across, and its name.
        low: A value of y that is on the axis in any case.
        high: Another.
        x_ticks: Places and texts of the x axis; None: round numbers.
    """
    shown = [Series(s.name, [p for p in s.points if math.isfinite(p[0])]) for s in series]
    values = [y for s in shown for _, y in s.points if math.isfinite(y)]
    if not values:
        return Html("")
    xs = sorted({x for s in shown for x, _ in s.points})
    asked = [v for v in (low, high, mark[0] if mark else None) if v is not None]
    ticks = round_ticks(min([*values, *asked]), max([*values, *asked]), most=4)
    wide = (xs[0], xs[-1]) if xs[0] < xs[-1] else (xs[0] - 1, xs[0] + 1)
    x = Scale(*wide, _LEFT, WIDTH - _RIGHT)
    y = Scale(ticks[0], ticks[-1], HEIGHT - _BOTTOM, _TOP)
    named = x_ticks is not None
    if x_ticks is None:
        places = inner_ticks(xs[0], xs[-1], most=5)
        x_ticks = list(zip(places, tick_labels(places), strict=True))
    drawing = [
        *_grid(ticks, y),
        *_bottom(x_ticks, x, x_name),
        *([_mark(mark[0], y)] if mark else []),
        *(part for n, s in enumerate(shown) for part in _line(n, thinned(s.points), x, y)),
        *_columns(shown, xs, x, x_name=x_name, x_texts=dict(x_ticks) if named else {}, unit=unit),
    ]
    svg = element("svg", *drawing, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title)
    caption = [element("strong", title), *([element("span", about)] if about else [])]
    legend = _legend(shown, unit, mark)
    return element("figure", element("figcaption", *caption, legend), svg, class_="chart")


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most 400 points that look the same: the least and the greatest of each stretch."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    stretches = _MOST_POINTS // 2
    kept: list[tuple[float, float]] = []
    for n in range(stretches):
        part = points[n * len(points) // stretches : (n + 1) * len(points) // stretches]
        finite = [p for p in part if math.isfinite(p[1])]
        ends = {min(finite, key=_y), max(finite, key=_y)} if finite else {part[0]}
        kept += sorted(ends)
    return kept


def _y(point: tuple[float, float]) -> float:
    return point[1]


def _grid(ticks: Sequence[float], y: Scale) -> list[Html]:
    parts = []
    for value, text in zip(ticks, tick_labels(ticks), strict=True):
        place = y.place(value)
        parts.append(
            element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=place, y2=place, class_="grid")
        )
        parts.append(
            element("text", text, x=_LEFT - 7, y=place + 3.5, class_="tick", text_anchor="end")
        )
    return parts


def _bottom(ticks: Sequence[tuple[float, str]], x: Scale, name: str) -> list[Html]:
    """Return the ticks of the x axis, and its name at the right, under the last of them."""
    floor = HEIGHT - _BOTTOM
    parts = [
        element("text", text, x=x.place(at), y=floor + 13, class_="tick", text_anchor="middle")
        for at, text in ticks
    ]
    under = element(
        "text",
        name,
        x=WIDTH - _RIGHT,
        y=HEIGHT - 4,
        class_="tick name",
        text_anchor="end",
    )
    return [*parts, under]


def _mark(value: float, y: Scale) -> Html:
    """Return a line across; its name is in the legend, where no curve runs through it."""
    place = y.place(value)
    return element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=place, y2=place, class_="mark")


def _line(n: int, points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> list[Html]:
    """Return the path of a line, with gaps where it has none, and dots where points are few."""
    words, pen_is_up = [], True
    dots = []
    for at, value in points:
        if not math.isfinite(value):
            pen_is_up = True
            continue
        place = f"{x.place(at):.1f} {y.place(value):.1f}"
        words.append(f"{'M' if pen_is_up else 'L'}{place}")
        pen_is_up = False
        dots.append(element("circle", cx=x.place(at), cy=y.place(value), r=2.4, class_=_look(n)))
    path = element("path", d="".join(words), class_=f"line {_look(n)}")
    return [path, *(dots if len(dots) <= _DOTS else [])]


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
) -> list[Html]:
    """Return a hidden column around each x (at most 120 of them) that says what is there."""
    step = math.ceil(len(xs) / _MOST_COLUMNS)
    kept = list(xs[::-1][::step])[::-1]  # the last is among them
    found = [dict(s.points) for s in series]
    columns = []
    for n, at in enumerate(kept):
        left = (x.place(kept[n - 1]) + x.place(at)) / 2 if n else x.start
        right = (x.place(at) + x.place(kept[n + 1])) / 2 if n + 1 < len(kept) else x.end
        lines = [f"{x_name} {x_texts.get(at) or number(at)}"]
        lines += [
            f"{s.name} {number(known[at], unit)}"
            for s, known in zip(series, found, strict=True)
            if at in known
        ]
        columns.append(
            element(
                "rect",
                element("title", "\n".join(lines)),
                x=left,
                width=max(right - left, 0.1),
                y=_TOP,
                height=HEIGHT - _BOTTOM - _TOP,
                class_="column",
            )
        )
    return columns


def _legend(series: Sequence[Series], unit: str, mark: tuple[float, str] | None) -> Html:
    """Return how each line looks, its name and its last value; without lines that have none.

    The mark comes last, with its value.
    """
    entries = []
    for n, one in enumerate(series):
        last = next((v for _, v in reversed(one.points) if math.isfinite(v)), None)
        if last is None:
            continue
        entries.append(_entry(f"line {_look(n)}", one.name, number(last, unit)))
    if mark is not None:
        entries.append(_entry("mark", mark[1], number(mark[0], unit)))
    return element("ul", *entries, class_="legend")


def _entry(look: str, name: str, value: str) -> Html:
    line = element("path", d="M1 5L25 5", class_=look)
    key = element("svg", line, viewBox="0 0 26 10", class_="key", aria_hidden="true")
    return element("li", key, joined([element("span", name), element("b", value)], " "))
