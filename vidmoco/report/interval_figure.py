"""The intervals of one score for all backbones, on one scale."""

from collections.abc import Sequence

from markupsafe import Markup

from vidmoco.report.axes import Scale
from vidmoco.report.markup import render
from vidmoco.report.results_file import Column


def interval_figure(names: Sequence[str], columns: Sequence[Column], *, num_classes: int) -> Markup:
    """Return a figure of the first column with intervals of all backbones, or an empty text."""
    column = next((c for c in columns if all(c.ends) and None not in c.values), None)
    if column is None:
        return Markup("")
    chance = 100 / max(num_classes, 1)
    every = [chance, *(end for ends in column.ends if ends for end in ends)]
    x = Scale(min(every), max(*every, min(every) + 1), 3, 97)
    rows = []
    for name, value, shown, ends, note in zip(
        names, column.values, column.shown, column.ends, column.notes, strict=True
    ):
        assert value is not None and ends is not None
        low, high = map(x.place, ends)
        rows.append(
            {
                "name": name,
                "shown": shown,
                "note": note,
                "value": x.place(value),
                "low": low,
                "high": high,
            }
        )
    return render(
        "intervals",
        about=f"95 % intervals of {column.group}, {column.title}; the dotted line is chance for "
        "balanced classes",
        chance=x.place(chance),
        rows=rows,
    )
