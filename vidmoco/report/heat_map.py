"""A confusion matrix in colours: what is right along the diagonal, mistakes in another colour."""

from collections.abc import Sequence

from markupsafe import Markup

from vidmoco.report.markup import render

_CELL, _LABEL, _TOP = 14, 118, 112  # pixels: side of a cell, room for the names of rows, of columns
_LEAST = 0.06  # opacity of a single mistake: it must be seen
_MOST_LETTERS = 17


def heat_map(title: str, matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Markup:
    """Return a figure of how often each class (row) was taken for each class (column).

    Colours are shares of a row's images: opaque is all of them.
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
                    "text": f"{names[row]}, taken for {names[column]}: {count} of {total} "
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
