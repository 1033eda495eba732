"""The section of a results file: tables and charts."""

from collections.abc import Sequence
from math import log10
from pathlib import Path
from typing import Any

from markupsafe import Markup

from vidmoco.evaluate.results_table import imbalance_of, settings_lines
from vidmoco.report.class_parts import class_parts
from vidmoco.report.interval_figure import interval_figure
from vidmoco.report.line_chart import Series, line_chart
from vidmoco.report.markup import Section, command_line, folded, paragraph, render, table
from vidmoco.report.results_file import Column, knn_columns, other_columns
from vidmoco.text import counted

_RULES = {
    "head": ("Only the head", "the backbone is frozen, its head is trained on random crops"),
    "all": ("All layers", "the backbone is trained too"),
}
_SHOWN_REFUSALS = 200
_LEGEND = (
    "▲ marks the best value of a column. Small numbers are 95 % intervals, or the "
    "standard deviation over draws. If intervals overlap, a difference may be chance."
)


def results_section(results: dict[str, Any], *, name: str) -> Section:
    """Return the section of a results file; ``name`` is the file's name."""
    rows, classes = results["rows"], results["classes"]
    knn = [column for tau in _taus(results) for column in knn_columns(rows, tau)]
    others = other_columns(results)
    parts: list[Markup] = [
        scores_table(rows, columns, label=f"{columns[0].group}, {name}")
        for columns in (others, knn)
        if columns
    ] or [scores_table(rows, [], label=name)]
    parts.append(paragraph(_LEGEND, "foot"))
    headline = [*others, *headline_columns(results)]
    charts = [interval_figure([row["name"] for row in rows], headline, num_classes=len(classes))]
    charts += [_knn_chart(rows, tau) for tau in _taus(results)[:1]]
    charts += finetune_charts(rows)
    if any(charts):
        parts.append(render("charts", charts=charts, notes=[], warning=""))
    parts += class_parts(rows, classes)
    parts += _about(results)
    title = Path(results["images"]).name or results["images"]
    lead = (
        f"{name}: {results['num_train']:,} train and {results['num_val']:,} "
        f"{results.get('val_split', 'val')} images of {len(classes)} classes; accuracy in percent."
    )
    return Section(f"Comparison on {title}", parts, lead, short=title)


def results_header(results: dict[str, Any]) -> list[Markup]:
    """Return the header: the best backbone of each score."""
    rows = results["rows"]
    columns = [*headline_columns(results), *other_columns(results)]
    tiles = []
    for column in columns[:5]:
        known = [value for value in column.values if value is not None]
        names = [row["name"] for row, shown in zip(rows, column.shown, strict=True)
                 if shown == f"{max(known):.1f}"]  # fmt: skip
        value = f"{max(known):.1f} %"
        tiles.append((f"{column.group}, {column.title}", value, " and ".join(names)))
    several = len(rows) > 1
    summary = f"{len(rows)} backbones · the best of each score" if several else rows[0]["name"]
    return [render("header", state="", summary=summary, warning="", tiles=tiles)]


def _taus(results: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(tau for row in results["rows"] for tau in row.get("knn_top1", {})))


def headline_columns(results: dict[str, Any]) -> list[Column]:
    """Return the k-NN column of the headline k, if there is one."""
    title = f"k = {results['settings']['headline_k']}"
    columns = [c for tau in _taus(results)[:1] for c in knn_columns(results["rows"], tau)]
    return [column for column in columns if column.title == title]


def scores_table(
    rows: Sequence[dict[str, Any]], columns: Sequence[Column], *, label: str
) -> Markup:
    """Return a table with a row per backbone; the best value of each column is marked."""
    names = []
    for row in rows:
        words = [row.get("architecture"), f"{row['dim']}-d" if "dim" in row else ""]
        words.append(f"{row['input_size']} px" if "input_size" in row else "")
        names.append((row["name"], ", ".join(str(word) for word in words if word)))
    return render("scores", label=label, columns=columns, names=names)


def finetune_charts(rows: Sequence[dict[str, Any]]) -> list[Markup]:
    """Return a chart of the accuracy by epoch for each rule, with a line per backbone."""
    charts = []
    for rule in dict.fromkeys(rule for row in rows for rule in row.get("finetune", {})):
        title, about = _RULES.get(rule, (rule, ""))
        series = []
        for row in rows:
            epochs = row.get("finetune", {}).get(rule, {}).get("epochs", [])
            points = [(e["epoch"], e["top1"]) for e in epochs if "epoch" in e and "top1" in e]
            series.append(Series(row["name"], points))
        charts.append(
            line_chart(f"{title}: top-1 by epoch", series, x_name="epoch", unit=" %", about=about)
        )
    return charts


def _knn_chart(rows: Sequence[dict[str, Any]], tau: str) -> Markup:
    """Return a chart of the k-NN accuracy by k, on a logarithmic axis."""
    series = [
        Series(
            row["name"],
            sorted((log10(int(k)), v) for k, v in row.get("knn_top1", {}).get(tau, {}).items()),
        )
        for row in rows
    ]
    ticks = sorted(
        {(log10(int(k)), k) for row in rows for k in row.get("knn_top1", {}).get(tau, {})}
    )
    if len(ticks) < 2:
        return Markup("")
    return line_chart(
        "k-NN by number of neighbours", series, x_name="k", unit=" %", x_ticks=ticks,
        about=f"τ = {tau}; k on a logarithmic scale",
    )  # fmt: skip


def _about(results: dict[str, Any]) -> list[Markup]:
    """Return notes, settings, refused images and the command."""
    parts: list[Markup] = []
    refused = results["refused"]
    if refused:
        keys = ("name", "split", "reason")
        shown = [[one.get(key, "") for key in keys] for one in refused[:_SHOWN_REFUSALS]]
        more = len(refused) - len(shown)
        foot = f"and {more:,} more, in the file" if more else ""
        head = ["image", "split", "reason"]
        listed = table(head, shown, label="Refused images", left=3, foot=foot)
        title = f"{counted(len(refused), 'image')} could not be read and left out"
        parts.append(folded(title, listed))
    try:
        lines = [*filter(None, [imbalance_of(results)]), *settings_lines(results)]
    except (KeyError, IndexError, TypeError, ValueError):  # keys are missing
        lines = []
    return [
        render(
            "measured",
            lines=[*results["notes"], *lines],
            parts=parts,
            command=command_line(results["command"]),
        )
    ]
