"""A confusion matrix in colours: what is right along the diagonal, mistakes in another colour."""

from collections.abc import Sequence

from vidmoco.report.markup import Html, element

_CELL, _LABEL, _TOP = 14, 118, 112  # pixels: side of a cell, room for the names of rows, of columns
_LEAST = 0.06  # opacity of a single mistake: it must be seen
_MOST_LETTERS = 17


def heat_map(title: str, matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Html:
    """Return a figure of how often each class (row) was taken for each class (column).

    Colours are shares of a row's images: opaque is all of them.
    """
    size = len(names)
    width, height = _LABEL + size * _CELL + 2, _TOP + size * _CELL + 4
    drawing = []
    for n, name in enumerate(names):
        short = name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
        middle = n * _CELL + _CELL / 2
        down = _TOP + middle + 3.5
        drawing.append(
            element("text", short, x=_LABEL - 6, y=down, class_="tick", text_anchor="end")
        )
        right = _LABEL + middle + 3.5
        turned = f"rotate(-90 {right:g} {_TOP - 5})"
        drawing.append(element("text", short, x=right, y=_TOP - 5, class_="tick", transform=turned))
    for row, counts in enumerate(matrix):
        total = sum(counts)
        for column, count in enumerate(counts):
            share = count / total if total else 0.0
            words = f"{names[row]}, taken for {names[column]}: {count} of {total} ({share:.0%})"
            is_right = row == column
            drawing.append(
                element(
                    "rect",
                    element("title", words),
                    x=_LABEL + column * _CELL,
                    y=_TOP + row * _CELL,
                    width=_CELL - 1,
                    height=_CELL - 1,
                    class_="cell right" if is_right else "cell",
                    fill_opacity=max(share, _LEAST) if count else 0,
                )
            )
    svg = element(
        "svg", *drawing, viewBox=f"0 0 {width} {height}", width=width, height=height,
        role="img", aria_label=title,
    )  # fmt: skip
    box = element("div", svg, class_="scroll", tabindex=0, role="region", aria_label=title)
    return element("figure", element("figcaption", element("strong", title)), box, class_="heat")
