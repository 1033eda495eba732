"""Intervals of one score beside each other, on one scale: how sure the order of backbones is."""

from collections.abc import Sequence

from vidmoco.report.axes import Scale
from vidmoco.report.markup import Html, element, table
from vidmoco.report.results_file import Column


def interval_figure(names: Sequence[str], columns: Sequence[Column], *, num_classes: int) -> Html:
    """Return a figure of the first column that has an interval of every backbone; empty: none."""
    column = next((c for c in columns if all(c.ends) and None not in c.values), None)
    if column is None:
        return Html("")
    chance = 100 / max(num_classes, 1)
    every = [chance, *(end for ends in column.ends if ends for end in ends)]
    x = Scale(min(every), max(*every, min(every) + 1), 3, 97)
    rows = []
    for name, value, shown, ends, note in zip(
        names, column.values, column.shown, column.ends, column.notes, strict=True
    ):
        assert value is not None and ends is not None
        drawing = [
            element("path", d=path, class_=f"range-{look}", vector_effect="non-scaling-stroke")
            for look, path in (
                ("base", "M0 13H100"),
                ("chance", f"M{x.place(chance):.2f} 0V26"),
                ("line", f"M{x.place(ends[0]):.2f} 13H{x.place(ends[1]):.2f}"),
                ("dot", f"M{x.place(value):.2f} 7V19"),
            )
        ]
        svg = element(
            "svg",
            element("title", f"{name}: {shown} %, {note}"),
            *drawing,
            viewBox="0 0 100 26",
            preserveAspectRatio="none",
            role="img",
            aria_label=f"{name}: {note}",
        )
        number = element("td", shown, element("small", note), class_="number")
        rows.append([name, element("td", svg, class_="range"), number])
    about = (
        f"95 % intervals of {column.group}, {column.title}; dotted: chance, were all classes of "
        "one size"
    )
    caption = element("figcaption", element("strong", "How sure"), element("span", about))
    shown_rows = table(["backbone", "", "%"], rows, label="Intervals", left=2)
    return element("figure", caption, shown_rows, class_="chart double")
