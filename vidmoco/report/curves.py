"""The section of curves of a run, from metrics.jsonl and monitor.jsonl."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from vidmoco.report.line_chart import Series, line_chart
from vidmoco.report.markup import Section, render
from vidmoco.report.run_facts import RunFacts


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A chart of quantities of metrics.jsonl."""

    title: str
    keys: dict[str, str]
    """Key of metrics.jsonl: name in the legend."""
    about: str = ""
    unit: str = ""
    factor: float = 1.0
    """Factor from the file's numbers to the unit."""
    low: float | None = None
    high: float | None = None
    mark: tuple[float, str] | None = None


_LEARNING = (
    Curve(
        title="Loss minus chance",
        about="0 is no better than equal similarities",
        keys={"loss_minus_chance": "loss − chance"},
        mark=(0.0, "chance"),
    ),
    Curve(
        title="The positive among all keys",
        about="(K+1)-way accuracy: the positive is first, or among the first five",
        keys={"top1": "top-1", "top5": "top-5"},
        unit=" %",
        low=0.0,
    ),
    Curve(
        title="Similarity",
        about="mean cosine with the positive and with the negatives",
        keys={"positive": "positive", "negative": "negatives"},
        low=0.0,
        high=1.0,
    ),
)
_EMBEDDINGS = (
    Curve(
        title="Effective rank",
        about="directions that the embeddings use (RankMe)",
        keys={"effective_rank": "rank"},
        low=0.0,
    ),
    Curve(
        title="Spread",
        about="1 is the whole sphere, 0 is collapsed to a point",
        keys={"spread": "spread"},
        low=0.0,
        high=1.0,
    ),
    Curve(
        title="Alignment and uniformity",
        about="distance of positives, evenness of all; lower is better",
        keys={"alignment": "alignment", "uniformity": "uniformity"},
    ),
)
_PACE = (
    Curve(title="Learning rate", keys={"lr": "rate"}, low=0.0),
    Curve(title="Throughput", keys={"pairs_per_second": "pairs"}, unit="/s", low=0.0),
    Curve(
        title="Waiting for data",
        about="share of the time",
        keys={"data_wait_share": "wait"},
        unit=" %",
        factor=100.0,
        low=0.0,
    ),
)


CURVES = (*_LEARNING, *_EMBEDDINGS, *_PACE)
"""All curves of metrics.jsonl."""


def drawn_over_each_other(curve: Curve, logs: Mapping[str, Sequence[dict[str, Any]]]) -> Markup:
    """Return a chart of the first quantity of a curve, a line for each log, by its name.

    A log without it takes part, so that a run has the same colour in all charts.
    """
    key, name = next(iter(curve.keys.items()))
    title = curve.title if len(curve.keys) == 1 else f"{curve.title}: {name}"
    series = [
        Series(run, [(x, y * curve.factor) for x, y in points_of(lines, key)])
        for run, lines in logs.items()
    ]
    return line_chart(
        title, series, x_name=_common_x_name(logs), unit=curve.unit, about=curve.about,
        mark=curve.mark, low=curve.low, high=curve.high,
    )  # fmt: skip


def knn_over_each_other(monitors: Mapping[str, Sequence[dict[str, Any]]]) -> Markup:
    """Return a chart of the monitor's k-NN accuracy, a line for each run."""
    series = [Series(run, points_of(lines, "knn_top1")) for run, lines in monitors.items()]
    return line_chart(
        "k-NN accuracy",
        series,
        x_name=_common_x_name(monitors),
        unit=" %",
        about="on labelled images",
    )


def _common_x_name(logs: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    names = {x_name_of(lines) for lines in logs.values() if lines}
    return names.pop() if len(names) == 1 else "epoch or step"


def curves_section(facts: RunFacts) -> Section:
    """Return the curves of a run that it has numbers for."""
    charts = [
        *(drawn(curve, facts.metrics) for curve in _LEARNING),
        *monitor_charts(facts.monitor),
        *(drawn(curve, facts.metrics) for curve in (*_EMBEDDINGS, *_PACE)),
    ]
    lead = (
        f"Each point is the mean over the steps since the previous one; there are "
        f"{len(facts.metrics):,}. Point at a curve to see its numbers."
    )
    failures = [line["failure"] for line in facts.monitor if isinstance(line.get("failure"), str)]
    notes = [f"The monitor: {text}" for text in dict.fromkeys(failures)]
    shown = render("charts", charts=charts, notes=notes, warning=facts.monitor_problem)
    return Section("Curves", [shown], lead)


def monitor_charts(lines: Sequence[dict[str, Any]]) -> list[Markup]:
    """Return the curves of the monitor: k-NN accuracy, and retrieval by distance in time."""
    knn = Series("k-NN", points_of(lines, "knn_top1"))
    found = [
        (_place(line), line["retrieval"])
        for line in lines
        if isinstance(line.get("retrieval"), dict)
    ]
    distances = sorted({key for _, one in found for key in one}, key=_by_number)
    retrieval = [
        Series(
            f"{distance} s", [(x, _as_float(one[distance])) for x, one in found if distance in one]
        )
        for distance in distances
    ]
    return [
        line_chart(
            "k-NN accuracy", [knn], x_name=x_name_of(lines), unit=" %", about="on labelled images"
        ),
        line_chart(
            "Retrieval", retrieval, x_name=x_name_of(lines), unit=" %",
            about="how often the nearest frame is of the same video, by distance in time",
        ),
    ]  # fmt: skip


def drawn(curve: Curve, lines: Sequence[dict[str, Any]]) -> Markup:
    """Return a chart of all quantities of a curve that some line has."""
    series = [
        Series(name, [(x, y * curve.factor) for x, y in points_of(lines, key)])
        for key, name in curve.keys.items()
        if any(key in line for line in lines)
    ]
    return line_chart(
        curve.title, series, x_name=x_name_of(lines), unit=curve.unit, about=curve.about,
        mark=curve.mark, low=curve.low, high=curve.high,
    )  # fmt: skip


def points_of(lines: Sequence[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    """Return (epoch or step, value) of the lines that have ``key``; what is no number is NaN."""
    return [(_place(line), _as_float(line[key])) for line in lines if key in line]


def x_name_of(lines: Sequence[dict[str, Any]]) -> str:
    """Return what the x of ``points_of`` is."""
    return "epoch" if lines and all(_has_epoch(line) for line in lines) else "step"


def _place(line: dict[str, Any]) -> float:
    """Return the x value of a line."""
    return _as_float(line["epoch"] if _has_epoch(line) else line["step"])


def _has_epoch(line: dict[str, Any]) -> bool:
    return math.isfinite(_as_float(line.get("epoch")))


def _by_number(text: str) -> tuple[bool, float, str]:
    """Return a sort key: texts by their number, other texts last (NaN cannot be sorted)."""
    value = _as_float(text)
    return math.isnan(value), 0.0 if math.isnan(value) else value, text


def _as_float(value: Any) -> float:
    """Return ``value`` as a number, or NaN (a gap in the curve) if it is not one."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
