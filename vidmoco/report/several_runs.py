"""The page of several runs: their curves over each other, last numbers, settings that differ."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from vidmoco.config.recipe import flat_settings
from vidmoco.report.axes import number
from vidmoco.report.curves import CURVES, drawn_over_each_other, knn_over_each_other
from vidmoco.report.markup import Section, code, paragraph, render, table
from vidmoco.report.run_facts import RunFacts

# Where a run came from, not what it is.
_NOT_COMPARED = ("videos",)
_NUMBERS = {
    "loss_minus_chance": "loss − chance",
    "top1": "top-1 (%)",
    "effective_rank": "effective rank",
    "pairs_per_second": "pairs/s",
}


def names_of(runs: Sequence[RunFacts]) -> list[str]:
    """Return the names of the runs' folders, with as many of those above as tell them apart."""
    folders = [facts.folder.resolve() for facts in runs]
    most = max(len(folder.parts) for folder in folders)
    for count in range(1, most + 1):
        names = ["/".join(folder.parts[-count:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return names


def several_sections(runs: Sequence[RunFacts]) -> list[Section]:
    """Return the sections that compare runs."""
    names = names_of(runs)
    logs = {name: facts.metrics for name, facts in zip(names, runs, strict=True)}
    monitors = {name: facts.monitor for name, facts in zip(names, runs, strict=True)}
    charts = [
        knn_over_each_other(monitors),
        *(drawn_over_each_other(curve, logs) for curve in CURVES),
    ]
    shown = render("charts", charts=charts, notes=[], warning="")
    lead = "The same curve of every run. Point at a place to see the numbers there."
    return [Section("Curves", [shown], lead), _numbers(names, runs), _settings(names, runs)]


def _numbers(names: Sequence[str], runs: Sequence[RunFacts]) -> Section:
    """Return the last numbers of each run."""
    rows = []
    for name, facts in zip(names, runs, strict=True):
        measured = [line["knn_top1"] for line in facts.monitor if "knn_top1" in line]
        values = [facts.last.get("step"), *(measured[-1:] or [None])]
        values += [facts.last.get(key) for key in _NUMBERS]
        rows.append([name, facts.state, *map(_shown, values)])
    head = ["run", "state", "steps", "k-NN (%)", *_NUMBERS.values()]
    return Section("Last numbers", [table(head, rows, label="Last numbers of the runs", left=2)])


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else "–"


def _settings(names: Sequence[str], runs: Sequence[RunFacts]) -> Section:
    """Return the settings in which the runs differ."""
    unread = [
        paragraph(f"{name}: {facts.config_problem}", "warning")
        for name, facts in zip(names, runs, strict=True)
        if facts.config is None
    ]
    flat = [{} if facts.config is None else flat_settings(facts.config) for facts in runs]
    keys = [
        key
        for key in dict.fromkeys(key for one in flat for key in one)
        if key not in _NOT_COMPARED
        and len({repr(one.get(key)) for one, facts in zip(flat, runs, strict=True) if facts.config})
        > 1
    ]
    if not keys:
        return Section("Settings that differ", unread, "None: the runs have the same settings.")
    rows = [[code(key), *(_value(one, key) for one in flat)] for key in keys]
    shown = table(["setting", *names], rows, label="Settings that differ", left=1 + len(names))
    return Section("Settings that differ", [*unread, shown])


def _value(settings: dict[str, Any], key: str) -> Markup | str:
    return code(str(settings[key])) if key in settings else "–"
