"""Confusion matrices in colours: the diagonal in one colour, mistakes in another."""

from collections.abc import Sequence

from markupsafe import Markup

from vidmoco.report.markup import render

_CELL, _LABEL, _TOP = 14, 118, 112  # pixels: side of a cell, width of row names, height of columns'
_LEAST = 0.06  # minimum opacity, so that a single mistake is visible
_MOST_LETTERS = 17


def heat_map(title: str, matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Markup:
    """Return a figure of how often each true class (row) was predicted as each class (column).

    The opacity is the share of the row's images.
    """
    size = len(names)
    cells = []
    for row, counts in enumerate(matrix):
        total = sum(counts)
        for column, count in enumerate(counts):
            share = count / total if total else 0.0
            cells.append(
                {
                    "row": row,
                    "column": column,
                    "opacity": max(share, _LEAST) if count else 0,
                    "text": f"{names[row]} predicted as {names[column]}: {count} of {total} "
                    f"({share:.0%})",
                }
            )
    return render(
        "heat_map",
        title=title,
        width=_LABEL + size * _CELL + 2,
        height=_TOP + size * _CELL + 4,
        left=_LABEL,
        top=_TOP,
        cell=_CELL,
        names=[n if len(n) <= _MOST_LETTERS else f"{n[: _MOST_LETTERS - 1]}…" for n in names],
        cells=cells,
    )
