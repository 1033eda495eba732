"""Detection transfers in the page: a table of AP, the losses, AP of each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from vidmoco import run_folder
from vidmoco.errors import ConfigError
from vidmoco.evaluate.detection.results_table import SCORES, notes, scores_by_rule
from vidmoco.json_text import read_json
from vidmoco.report.curves import Curve, drawn, drawn_over_each_other
from vidmoco.report.markup import Section, folded, paragraph, render, table
from vidmoco.report.results_file import content_of
from vidmoco.report.run_facts import read_lines

RESULTS = "results.json"
_LOSS = {
    "loss": "sum",
    "loss_classifier": "classes",
    "loss_box_reg": "boxes",
    "loss_objectness": "objectness",
    "loss_rpn_box_reg": "proposals",
}
_CURVES = (
    Curve(title="Loss", about="means since the point before", keys=_LOSS, low=0.0),
    Curve(title="Learning rate", keys={"lr": "rate"}, low=0.0),
    Curve(title="Throughput", keys={"images_per_second": "images"}, unit="/s", low=0.0),
)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What ``evaluate-detection`` wrote."""

    path: Path
    """Of the results file."""
    results: dict[str, Any]
    metrics: list[dict[str, Any]]
    """Lines of metrics.jsonl beside it; empty if there is none."""


def is_transfer(results: Any) -> bool:
    """Return whether the content of a JSON file is of ``evaluate-detection``."""
    return isinstance(results, dict) and {"detector", "ap", "per_class_ap"} <= results.keys()


def holds_transfer(folder: Path) -> bool:
    """Return whether a folder is the run folder of a transfer, finished or not.

    Raises:
        ConfigError: its metrics are damaged.
    """
    if (folder / run_folder.CONFIG).exists():
        return False
    if (folder / RESULTS).is_file():
        return is_transfer(content_of(folder / RESULTS))
    try:
        began = read_json(folder / run_folder.ENVIRONMENT)["command"]
    except (OSError, ValueError, KeyError, TypeError):  # none, or damaged
        began = []
    lines = read_lines(folder / run_folder.METRICS)
    return "evaluate-detection" in began or any("loss_objectness" in line for line in lines)


def read_transfer(path: Path) -> Transfer:
    """Return a transfer, given its run folder or its results file.

    Raises:
        ConfigError: it has no results yet, or is damaged.
    """
    file = path / RESULTS if path.is_dir() else path
    if not file.exists():
        raise ConfigError(
            f"{path} is a run folder of `vidmoco evaluate-detection` without {RESULTS}, which "
            "comes at the end. The same command with --resume goes on."
        )
    folder = file.parent
    has_metrics = file.name == RESULTS and not (folder / run_folder.CONFIG).exists()
    metrics = read_lines(folder / run_folder.METRICS) if has_metrics else []
    one = Transfer(path=file, results=content_of(file), metrics=metrics)
    try:
        transfers_section([one])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{file} is damaged: {error!r}. Evaluate again.") from error
    return one


def val_of(transfer: Transfer) -> str:
    """Return the name of the validation set."""
    first, _, second = transfer.results["settings"]["val"].rpartition(":")
    path = Path(first)
    return path.stem if path.suffix == ".json" else f"{path.name} {second}"


def transfers_section(transfers: Sequence[Transfer]) -> Section:
    """Return the section of transfers, a row of the table and a line of the curves for each."""
    names = _names(transfers)
    logs = {name: one.metrics for name, one in zip(names, transfers, strict=True)}
    if len(transfers) == 1:
        charts = [drawn(curve, transfers[0].metrics) for curve in _CURVES]
    else:
        charts = [drawn_over_each_other(curve, logs) for curve in _CURVES]
    rows = [
        [
            name,
            str(one.results["backbone"]["name"]),
            str(one.results["detector"]),
            rule,
            *(f"{scores[key]:.1f}" for key in SCORES),
        ]
        for name, one in zip(names, transfers, strict=True)
        for rule, scores in scores_by_rule(one.results).items()
    ]
    head = ["run", "backbone", "detector", "rule", *SCORES.values()]
    parts: list[Markup] = [table(head, rows, label="Average precision", left=4)]
    if any(charts):
        parts.append(render("charts", charts=charts, notes=[], warning=""))
    parts.append(folded("AP of each class, COCO's rule (%)", _by_class(names, transfers)))
    for name, one in zip(names, transfers, strict=True):
        lines = notes(one.results)
        parts.append(folded(f"How {name} was measured", *(paragraph(line) for line in lines)))
    vals = ", ".join(dict.fromkeys(val_of(one) for one in transfers))
    lead = "Faster R-CNN, fine-tuned from each backbone by vidmoco evaluate-detection."
    return Section(f"Detection on {vals}", parts, lead, short="Detection")


def transfer_header(transfer: Transfer) -> list[Markup]:
    """Return the header of a page on one transfer."""
    rule = next(iter(scores_by_rule(transfer.results)))
    tiles = [(title, f"{transfer.results[key]:.1f}", rule) for key, title in SCORES.items()]
    summary = f"{transfer.results['backbone']['name']}, {transfer.results['detector']}"
    return [render("header", state="", summary=summary, warning="", tiles=tiles)]


def _by_class(names: Sequence[str], transfers: Sequence[Transfer]) -> Markup:
    found = [one.results["per_class_ap"] for one in transfers]
    classes = dict.fromkeys(name for one in found for name in one)
    rows = [[label, *(_shown(one.get(label)) for one in found)] for label in classes]
    return table(["class", *names], rows, label="AP of each class")


def _shown(ap: float | None) -> str:
    return "–" if ap is None else f"{ap:.1f}"


def _names(transfers: Sequence[Transfer]) -> list[str]:
    """Return the names of the runs, or the paths of their files if names are equal."""
    names = [
        one.path.resolve().parent.name if one.path.name == RESULTS else one.path.stem
        for one in transfers
    ]
    return names if len(set(names)) == len(names) else [str(one.path) for one in transfers]
