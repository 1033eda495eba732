"""Histograms with bars side by side, as inline SVG."""

from collections.abc import Sequence

from markupsafe import Markup

from vidmoco.report.axes import Scale, inner_ticks, number, round_ticks, tick_labels
from vidmoco.report.line_chart import COLOURS
from vidmoco.report.markup import render

_WIDTH, _HEIGHT = 720, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 32


def histogram(
    title: str,
    shares: Sequence[tuple[str, Sequence[float]]],
    *,
    step: float,
    x_name: str,
    about: str = "",
) -> Markup:
    """Return a figure of the shares (0 to 1) of some sets in [0, step), [step, 2 step) ...

    Args:
        title: Title of the figure.
        shares: Name and shares of each set, all of the same length.
        step: Range of a bar.
        x_name: Name of the x axis.
        about: A sentence below the title.
    """
    num_bars = len(shares[0][1])
    ticks = round_ticks(0, 100 * max(max(values) for _, values in shares))
    x = Scale(0, num_bars * step, _LEFT, _WIDTH - _RIGHT)
    y = Scale(0, ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    places = inner_ticks(0, num_bars * step, most=10)
    wide = (x.end - x.start) / num_bars
    thick = 0.8 * wide / len(shares)
    bars = []
    for n, (name, values) in enumerate(shares):
        for place, share in enumerate(values):
            ends = f"{number(place * step)} to {number((place + 1) * step)}"
            bar = {
                "x": x.start + wide * (place + 0.1) + thick * n,
                "width": max(thick - 1, 0.5),
                "y": y.place(100 * share),
                "look": f"s{n % COLOURS}",
                "text": f"{name}, {ends}: {100 * share:.1f} %",
            }
            bars += [bar] if share else []
    return render(
        "histogram",
        title=title,
        about=about,
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        bottom=_HEIGHT - _BOTTOM,
        y_ticks=[(y.place(v), text) for v, text in zip(ticks, tick_labels(ticks), strict=True)],
        x_ticks=[(x.place(v), text) for v, text in zip(places, tick_labels(places), strict=True)],
        x_name=x_name,
        bars=bars,
        legend=[(f"s{n % COLOURS}", name) for n, (name, _) in enumerate(shares)],
    )
