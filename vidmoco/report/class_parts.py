"""Accuracy class by class, and what is taken for what."""

from collections.abc import Sequence
from typing import Any

from vidmoco.report.heat_map import heat_map
from vidmoco.report.markup import Html, element, folded, table

Matrix = Sequence[Sequence[int]]
"""How often each class (row) was taken for each class (column)."""

_SHOWN_CLASSES = 12  # more are shown on a click
MOST_CLASSES = 30  # of a heat map that can be read


def class_parts(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> list[Html]:
    """Return the accuracy of each class for each backbone, and the confusion matrices.

    They are of the linear probe where all backbones have one, else of the k-NN.
    """
    names = [row["name"] for row in rows]
    for key, what in (("linear_confusion", "linear probe"), ("knn_confusion", "k-NN")):
        found = [row.get(key) for row in rows]
        if all(_is_square(matrix, len(classes)) for matrix in found):
            return _parts(names, [matrix for matrix in found if matrix], classes, what)
    return []


def _parts(
    names: Sequence[str], found: Sequence[Matrix], classes: Sequence[str], what: str
) -> list[Html]:
    shares = [class_shares(matrix) for matrix in found]
    counts = [sum(row) for row in found[0]]
    # The classes that are known best come first.
    order = sorted(range(len(classes)), key=lambda n: -sum(some[n] or 0.0 for some in shares))
    body = [[classes[n], f"{counts[n]:,}", *(_cell(some[n]) for some in shares)] for n in order]
    by_class = table(["class", "images", *names], body, label="Accuracy by class")
    few = len(classes) <= _SHOWN_CLASSES
    parts = [
        element("h3", "Class by class"),
        folded(f"Accuracy by class, {what} (%)", by_class, open_=few),
    ]
    if len(classes) <= MOST_CLASSES:
        maps = [heat_map(name, matrix, classes) for name, matrix in zip(names, found, strict=True)]
        about = "Rows are true classes, columns what they were taken for; the darker, the more."
        lead = element("p", about, class_="lead")
        cells = element("div", *maps, class_="heats")
        parts.append(folded(f"What is taken for what, {what}", lead, cells, open_=few))
    return parts


def class_shares(matrix: Matrix) -> list[float | None]:
    """Return the share (0 to 1) of each class's images that is right; None: it has none."""
    return [
        counts[n] / total if (total := sum(counts)) else None for n, counts in enumerate(matrix)
    ]


def _is_square(matrix: Any, size: int) -> bool:
    return bool(matrix) and len(matrix) == size and all(len(counts) == size for counts in matrix)


def _cell(share: float | None) -> Html:
    if share is None:
        return element("td", "–", class_="number")
    return element(
        "td", f"{100 * share:.0f}", class_="number share", style=f"--share:{100 * share:.1f}%"
    )
