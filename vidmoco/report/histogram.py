"""How values are spread: bars side by side, as a figure with inline SVG."""

from collections.abc import Sequence

from vidmoco.report.axes import Scale, inner_ticks, number, round_ticks, tick_labels
from vidmoco.report.line_chart import COLOURS
from vidmoco.report.markup import Html, element

_WIDTH, _HEIGHT = 720, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 32


def histogram(
    title: str,
    shares: Sequence[tuple[str, Sequence[float]]],
    *,
    step: float,
    x_name: str,
    about: str = "",
) -> Html:
    """Return a figure of the shares (0 to 1) of some sets in [0, step), [step, 2 step) ...

    Args:
        title: What is drawn.
        shares: Name and shares of each set, of one length.
        step: Width of a bar's range.
        x_name: Name of the x axis.
        about: A sentence under the title.
    """
    num_bars = len(shares[0][1])
    ticks = round_ticks(0, 100 * max(max(values) for _, values in shares), most=4)
    x = Scale(0, num_bars * step, _LEFT, _WIDTH - _RIGHT)
    y = Scale(0, ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    drawing = []
    for value, text in zip(ticks, tick_labels(ticks), strict=True):
        at = y.place(value)
        drawing.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=at, y2=at, class_="grid"))
        drawing.append(
            element("text", f"{text} %", x=_LEFT - 7, y=at + 3.5, class_="tick", text_anchor="end")
        )
    places = inner_ticks(0, num_bars * step, most=10)
    for value, text in zip(places, tick_labels(places), strict=True):
        at = x.place(value)
        drawing.append(
            element("text", text, x=at, y=y.start + 14, class_="tick", text_anchor="middle")
        )
    drawing.append(
        element(
            "text", x_name, x=_WIDTH - _RIGHT, y=_HEIGHT - 3, class_="tick name", text_anchor="end"
        )
    )
    bar = (x.end - x.start) / num_bars
    thick = 0.8 * bar / len(shares)
    for n, (name, values) in enumerate(shares):
        for place, share in enumerate(values):
            if not share:
                continue
            top = y.place(100 * share)
            ends = f"{number(place * step)} to {number((place + 1) * step)}"
            drawing.append(
                element(
                    "rect",
                    element("title", f"{name}, {ends}: {100 * share:.1f} %"),
                    x=x.start + bar * (place + 0.1) + thick * n,
                    width=max(thick - 1, 0.5),
                    y=top,
                    height=y.start - top,
                    class_=f"bar s{n % COLOURS}",
                )
            )
    svg = element("svg", *drawing, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=title)
    entries = [
        element("li", element("i", class_=f"swatch s{n % COLOURS}"), element("span", name))
        for n, (name, _) in enumerate(shares)
    ]
    caption = [element("strong", title), *([element("span", about)] if about else [])]
    legend = element("ul", *entries, class_="legend")
    return element(
        "figure",
        element("figcaption", *caption, legend),
        element("div", svg, class_="scroll", tabindex=0, role="region", aria_label=title),
        class_="chart double",
    )
