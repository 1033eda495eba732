"""Results of ``vidmoco evaluate`` in a model card: as a table, and as metadata."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult

from vidmoco.backbones.source import without_folder
from vidmoco.errors import ConfigError
from vidmoco.evaluate.results_table import settings_lines
from vidmoco.hub.markdown import table, text, without_folders
from vidmoco.report.results_file import Column, knn_columns, other_columns, read_results
from vidmoco.report.results_sections import headline_columns

Row = dict[str, Any]


def read_results_of(path: Path, *, weights_hash: str, name: str) -> dict[str, Any]:
    """Return a results file that measured this backbone, which it then calls ``name``.

    Other names are without the folders that they may be in.

    Raises:
        ConfigError: it cannot be read, or none of its backbones has these weights.
    """
    results = read_results(path)
    rows = [row | {"name": without_folder(row["name"])} for row in results["rows"]]
    ours = [n for n, row in enumerate(rows) if row.get("weights_hash") == weights_hash]
    if not ours:
        raise ConfigError(
            f"{path} has no results of this backbone: none of its {len(rows)} has the weights "
            f"{weights_hash}. Evaluate it again, or give the right file by --results."
        )
    rows[ours[0]]["name"] = name
    images = Path(results["images"]).name or without_folders(results["images"])
    notes = [_renamed(note, results["rows"], rows) for note in results["notes"]]
    found = results | {"rows": rows, "images": images, "notes": notes, "ours": ours[0]}
    try:
        evaluation_section(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # read_results missed it
        raise ConfigError(f"{path} is damaged: {error!r}. Evaluate again.") from error
    return found


def _renamed(note: str, before: Sequence[Row], now: Sequence[Row]) -> str:
    """Return a note with the names that its backbones have now."""
    renamed = {old["name"]: new["name"] for old, new in zip(before, now, strict=True)}
    longest_first = sorted(renamed, key=len, reverse=True)  # a name may be a part of a longer one
    return re.sub("|".join(map(re.escape, longest_first)), lambda found: renamed[found[0]], note)


def evaluation_section(results: dict[str, Any]) -> str:
    """Return the scores of all backbones of a results file, and how they were measured."""
    rows = results["rows"]
    columns = _columns(results)
    head = ["", *(text(_title(column)) for column in columns)]
    cells = [
        [text(row["name"]), *(_cell(column, n) for column in columns)] for n, row in enumerate(rows)
    ]
    about = [without_folders(line) for line in (*settings_lines(results), *results["notes"])]
    return "\n\n".join(
        [
            f"Accuracy in percent on **{text(results['images'])}**: {results['num_train']:,} train "
            f"and {results['num_val']:,} {text(results.get('val_split', 'val'))} images of "
            f"{len(results['classes']):,} classes. In brackets: 95 % intervals, or the "
            "standard deviation over draws.",
            table(head, cells),
            "\n".join(f"- {text(line)}" for line in about),
        ]
    )


def evaluation_metadata(results: dict[str, Any]) -> list[EvalResult]:
    """Return the scores of this backbone for the ``model-index`` of the card."""
    ours, images = results["ours"], results["images"]
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=re.sub(r"[^\w.-]+", "-", images).strip("-") or "images",
            dataset_name=images,
            dataset_split=str(results.get("val_split", "val")),
            metric_type="accuracy",
            metric_name=_title(column),
            metric_value=round(value, 2),
            metric_args={"interval_95": [round(end, 2) for end in ends]} if ends else None,
        )
        for column in _columns(results)
        if (value := column.values[ours]) is not None
        for ends in [column.ends[ours]]
    ]


def _columns(results: dict[str, Any]) -> Sequence[Column]:
    return [*headline_columns(results), *other_columns(results)] or [
        column
        for tau in results["settings"]["knn_tau"]
        for column in knn_columns(results["rows"], f"{tau:g}")
    ]


def _title(column: Column) -> str:
    return f"{column.group}, {column.title}"


def _cell(column: Column, row: int) -> str:
    shown, note = column.shown[row], column.notes[row]
    shown = f"**{shown}**" if column.is_best[row] else shown
    return f"{shown} ({note})" if shown and note else shown
