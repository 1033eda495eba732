"""A comparison as tables and charts: a section for each results file."""

from collections.abc import Sequence
from itertools import groupby
from math import log10
from pathlib import Path
from typing import Any

from vidmoco.evaluate.results_table import settings_lines
from vidmoco.report.class_parts import class_parts
from vidmoco.report.interval_figure import interval_figure
from vidmoco.report.line_chart import Series, line_chart
from vidmoco.report.markup import (
    Html,
    Section,
    command_line,
    element,
    folded,
    table,
)
from vidmoco.report.results_file import Column, knn_columns, other_columns
from vidmoco.text import counted

_RULES = {
    "head": ("Head alone", "the backbone is frozen, its head learns on random crops"),
    "all": ("All layers", "the backbone learns too"),
}
_SHOWN_REFUSALS = 200
_LEGEND = (
    "▲ best of its column as shown. Small numbers: 95 % intervals by the bootstrap, or the "
    "standard deviation over draws. Where intervals overlap, a difference may be chance."
)


def results_section(results: dict[str, Any], *, name: str) -> Section:
    """Return all that a results file holds; ``name`` is the file's."""
    rows, classes = results["rows"], results["classes"]
    knn = [column for tau in _taus(results) for column in knn_columns(rows, tau)]
    others = other_columns(rows)
    parts: list[Html] = [
        scores_table(rows, columns, label=f"{columns[0].group}, {name}")
        for columns in (others, knn)
        if columns
    ] or [scores_table(rows, [], label=name)]
    parts.append(element("p", _LEGEND, class_="foot"))
    headline = [*others, *_headline(results)]
    charts = [interval_figure([row["name"] for row in rows], headline, num_classes=len(classes))]
    charts += [_knn_chart(rows, tau) for tau in _taus(results)[:1]]
    charts += finetune_charts(rows)
    if any(charts):
        parts.append(element("div", *charts, class_="charts"))
    parts += class_parts(rows, classes)
    parts += _about(results)
    title = Path(results["images"]).name or results["images"]
    lead = (
        f"{name}: {results['num_train']:,} train and {results['num_val']:,} "
        f"{results.get('val_split', 'val')} images of {len(classes)} classes; accuracy in percent."
    )
    return Section(f"Comparison on {title}", parts, lead, short=title)


def results_header(results: dict[str, Any]) -> list[Html]:
    """Return what one wants to know first: the best backbone of each kind of score."""
    rows = results["rows"]
    columns = [*_headline(results), *other_columns(rows)]
    tiles = []
    for column in columns[:5]:
        known = [value for value in column.values if value is not None]
        names = [row["name"] for row, shown in zip(rows, column.shown, strict=True)
                 if shown == f"{max(known):.1f}"]  # fmt: skip
        what = element("span", f"{column.group}, {column.title}", class_="what")
        value = element("b", f"{max(known):.1f} %")
        tiles.append(element("li", what, value, element("span", " and ".join(names))))
    words = f"{len(rows)} backbones · the best of each score"
    summary = element("p", words if len(rows) > 1 else rows[0]["name"], class_="summary")
    return [summary, element("ul", *tiles, class_="tiles")]


def _taus(results: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(tau for row in results["rows"] for tau in row.get("knn_top1", {})))


def _headline(results: dict[str, Any]) -> list[Column]:
    """Return the column of the k-NN that stands for all of them, if there is one."""
    title = f"k = {results['settings']['headline_k']}"
    columns = [c for tau in _taus(results)[:1] for c in knn_columns(results["rows"], tau)]
    return [column for column in columns if column.title == title]


def scores_table(rows: Sequence[dict[str, Any]], columns: Sequence[Column], *, label: str) -> Html:
    """Return a table of a row a backbone, with the best of each column marked."""
    groups = [(group, len(list(some))) for group, some in groupby(columns, lambda c: c.group)]
    top = element(
        "tr",
        element("th", ""),
        *(
            element("th", group, colspan=count, scope="colgroup", class_="group")
            for group, count in groups
        ),
    )
    firsts = {sum(count for _, count in groups[:n]) for n in range(len(groups))}

    def look(n: int, *more: str) -> str:
        return " ".join(["number", *(["first"] if n in firsts else []), *more])

    titles = element(
        "tr",
        element("th", "backbone", scope="col"),
        *(element("th", c.title, scope="col", class_=look(n)) for n, c in enumerate(columns)),
    )
    body = []
    for i, row in enumerate(rows):
        cells = [
            element(
                "td", column.shown[i] or "–", *_small(column.notes[i]),
                class_=look(n, *(["best"] if column.is_best[i] else [])),
            )
            for n, column in enumerate(columns)
        ]  # fmt: skip
        words = [row.get("architecture"), f"{row['dim']}-d" if "dim" in row else ""]
        words.append(f"{row['input_size']} px" if "input_size" in row else "")
        about = ", ".join(str(word) for word in words if word)
        body.append(
            element("tr", element("td", row["name"], *_small(about), class_="name"), *cells)
        )
    inner = element(
        "table", element("thead", top, titles), element("tbody", *body), class_="scores"
    )
    return element("div", inner, class_="scroll table", tabindex=0, role="region", aria_label=label)


def finetune_charts(rows: Sequence[dict[str, Any]]) -> list[Html]:
    """Return a chart of the accuracy by epoch for each rule, with a line a backbone."""
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


def _small(text: str) -> list[Html]:
    return [element("small", text)] if text else []


def _knn_chart(rows: Sequence[dict[str, Any]], tau: str) -> Html:
    """Return the accuracy of k-NN by the number of neighbours, on a logarithmic axis."""
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
        return Html("")
    return line_chart(
        "k-NN by the number of neighbours", series, x_name="k", unit=" %", x_ticks=ticks,
        about=f"τ = {tau}; k on a logarithmic scale",
    )  # fmt: skip


def _about(results: dict[str, Any]) -> list[Html]:
    """Return notes, settings, refused images and the command."""
    parts: list[Html] = []
    refused = results["refused"]
    if refused:
        keys = ("name", "split", "reason")
        shown = [[one.get(key, "") for key in keys] for one in refused[:_SHOWN_REFUSALS]]
        more = len(refused) - len(shown)
        foot = f"and {more:,} more, in the file" if more else ""
        head = ["image", "split", "reason"]
        listed = table(head, shown, label="Refused images", left=3, foot=foot)
        told = f"{counted(len(refused), 'image')} could not be read, and left out"
        parts.append(folded(told, listed))
    try:
        lines = settings_lines(results)
    except (KeyError, IndexError, TypeError, ValueError):  # another set of keys than today's
        lines = []
    lines = [*results["notes"], *lines]
    points = element("ul", *(element("li", line) for line in lines), class_="facts")
    return [
        element("h3", "How it was measured"),
        points,
        *parts,
        element("h3", "Repeat it"),
        command_line(results["command"]),
    ]
