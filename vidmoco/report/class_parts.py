"""Accuracy by class, and confusion matrices."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from vidmoco.report.heat_map import heat_map
from vidmoco.report.markup import folded, render

Matrix = Sequence[Sequence[int]]
"""How often each true class (row) was predicted as each class (column)."""

_SHOWN_CLASSES = 12  # more are folded
MOST_CLASSES = 30  # of a readable heat map


def class_parts(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> list[Markup]:
    """Return the accuracy of each class for each backbone, and the confusion matrices.

    They are those of the linear probe if all backbones have one, else of k-NN.
    """
    names = [row["name"] for row in rows]
    for key, what in (("linear_confusion", "linear probe"), ("knn_confusion", "k-NN")):
        found = [row.get(key) for row in rows]
        if all(_is_square(matrix, len(classes)) for matrix in found):
            return _parts(names, [matrix for matrix in found if matrix], classes, what)
    return []


def _parts(
    names: Sequence[str], found: Sequence[Matrix], classes: Sequence[str], what: str
) -> list[Markup]:
    shares = [class_shares(matrix) for matrix in found]
    counts = [sum(row) for row in found[0]]
    # The best classes come first.
    order = sorted(range(len(classes)), key=lambda n: -sum(some[n] or 0.0 for some in shares))
    body = [
        {
            "name": classes[n],
            "count": f"{counts[n]:,}",
            "shares": [None if (share := some[n]) is None else 100 * share for some in shares],
        }
        for n in order
    ]
    by_class = render("class_shares", names=names, rows=body)
    few = len(classes) <= _SHOWN_CLASSES
    parts = [
        render("subtitle", text="Class by class"),
        folded(f"Accuracy by class, {what} (%)", by_class, is_open=few),
    ]
    if len(classes) <= MOST_CLASSES:
        maps = [heat_map(name, matrix, classes) for name, matrix in zip(names, found, strict=True)]
        cells = render("heat_maps", maps=maps)
        parts.append(folded(f"Confusion matrix, {what}", cells, is_open=few))
    return parts


def class_shares(matrix: Matrix) -> list[float | None]:
    """Return the accuracy (0 to 1) of each class, or None for a class without images."""
    return [
        counts[n] / total if (total := sum(counts)) else None for n, counts in enumerate(matrix)
    ]


def _is_square(matrix: Any, size: int) -> bool:
    return bool(matrix) and len(matrix) == size and all(len(counts) == size for counts in matrix)
