"""The table of an ablation as Markdown, and its charts."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from vidmoco.ablation.plan import Plan
from vidmoco.report.axes import Scale, inner_ticks, tick_labels
from vidmoco.report.markup import render

_ROW, _TOP, _LEFT, _WIDTH = 22, 26, 190, 640  # pixels of a chart


def markdown(plan: Plan, summary: dict[str, Any], *, command: str, failures: Sequence[str]) -> str:
    """Return the table, the differences, and how to repeat them."""
    columns = summary["columns"]
    head = [f"{judge}, {title}" for judge, title in columns]
    seeds = (
        f"{len(plan.seeds)} seeds: mean ± standard deviation"
        if len(plan.seeds) > 1
        else f"seed {plan.seeds[0]}"
    )
    best = _best(summary)
    rows = [
        [
            one["row"],
            f"{one['steps']:,}" if one["steps"] else "",
            *map(_cell, one["columns"], best),
        ]
        for one in summary["rows"]
    ]
    parts = [f"Accuracy in percent, {seeds}.", _table(["", "steps", *head], rows)]
    if summary["differences"]:
        rows = [
            [" - ".join(one["rows"]), *map(_difference, one["columns"])]
            for one in summary["differences"]
        ]
        parts.append("Differences of equal seeds, with 95 % intervals of their mean (Student's t).")
        parts.append(_table(["", *head], rows))
    parts += [f"FAILED {line}" for line in failures]
    parts.append(f"    {command}")
    return "\n\n".join(parts) + "\n"


def charts(summary: dict[str, Any]) -> dict[str, str]:
    """Return a chart (SVG) per judge: a panel per column, a dot per seed, a line at the mean."""
    named = list(enumerate(map(tuple, summary["columns"])))
    return {
        judge: _chart(judge, [(index, title) for index, (_, title) in part], summary["rows"])
        for judge, part in groupby(named, key=lambda one: one[1][0])
    }


def _chart(judge: str, columns: list[tuple[int, str]], rows: list[dict[str, Any]]) -> str:
    height = _TOP + _ROW * len(rows) + 22
    panels = []
    for number, (index, title) in enumerate(columns):
        values = [v for row in rows for v in row["columns"][index]["values"]]
        if not values:
            continue
        x = Scale(min(values) - 1, max(values) + 1, _LEFT, _WIDTH - 20)
        ticks = inner_ticks(x.low, x.high, most=6)
        panels.append(
            {
                "title": f"{judge}: {title}, %",
                "top": number * height,
                "ticks": [
                    (round(x.place(t), 1), label)
                    for t, label in zip(ticks, tick_labels(ticks), strict=True)
                ],
                "rows": [
                    {
                        "name": row["row"],
                        "y": _TOP + _ROW * n + _ROW // 2,
                        "dots": [round(x.place(v), 1) for v in row["columns"][index]["values"]],
                        "mean": None if mean is None else round(x.place(mean), 1),
                    }
                    for n, row in enumerate(rows)
                    for mean in [row["columns"][index]["mean"]]
                ],
            }
        )
    return str(
        render(
            "ablation_chart",
            width=_WIDTH,
            height=max(1, len(panels)) * height,
            left=_LEFT,
            right=_WIDTH - 20,
            top=_TOP,
            bottom=_TOP + _ROW * len(rows),
            panels=panels,
        )
    )


def _best(summary: dict[str, Any]) -> list[float | None]:
    """Return the highest mean of each column, if there are several to choose from."""
    columns = zip(*(row["columns"] for row in summary["rows"]), strict=True)
    means = [[cell["mean"] for cell in column if cell["mean"] is not None] for column in columns]
    return [max(one) if len(one) > 1 else None for one in means]


def _cell(cell: dict[str, Any], best: float | None) -> str:
    if cell["mean"] is None:
        return ""
    text = f"{cell['mean']:.1f}"
    text = f"**{text}**" if cell["mean"] == best else text
    return text if cell["deviation"] is None else f"{text} ± {cell['deviation']:.1f}"


def _difference(cell: dict[str, Any]) -> str:
    if cell["mean"] is None:
        return ""
    text = f"{cell['mean']:+.1f}"
    if cell["interval"] is None:
        return text
    low, high = cell["interval"]
    return f"{text} ({low:+.1f} to {high:+.1f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '¦') for cell in line)} |" for line in lines)
