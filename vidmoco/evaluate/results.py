"""The results of a comparison: make, write and print them."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from rich.console import Console
from torch import Tensor

import vidmoco
from vidmoco.atomic_file import atomic_write
from vidmoco.config.command_line import command_line
from vidmoco.config.evaluation import EvaluateCommand
from vidmoco.console import say, wide_console
from vidmoco.errors import ConfigError
from vidmoco.evaluate.features import Features
from vidmoco.evaluate.linear import DECAYS
from vidmoco.evaluate.protocols import MOST_CONFUSED, headline_k
from vidmoco.evaluate.results_table import (
    FORMAT,
    imbalance_of,
    refusal_lines,
    results_tables,
    settings_lines,
)
from vidmoco.images.class_notes import notes_of
from vidmoco.images.equal_images import EqualImages, warning_of
from vidmoco.images.labelled import LabelledImages
from vidmoco.run_folder import make_writable_folder

# Settings that change results by rounding at most.
_NOT_IN_COMMAND = ("output", "batch_size", "workers", "device", "fresh")


def require_writable(path: Path) -> None:
    """Raise ``ConfigError``, before the long work, if the results cannot be written to ``path``."""
    if path.is_dir():
        raise ConfigError(
            f"--output is {path}, a folder; give a file, such as {path / 'results.json'}."
        )
    if path.suffix != ".json":
        raise ConfigError(f"--output is {path}; expected a name that ends in .json.")
    make_writable_folder(path.parent, flag="--output")


def results_of(
    command: EvaluateCommand,
    train: LabelledImages,
    val: LabelledImages,
    *,
    rows: list[dict[str, Any]],
    features: Features,
    left_out: list[str],
    equal: EqualImages | None,
) -> dict[str, Any]:
    """Return the content of the results file.

    Args:
        command: The settings.
        train: The training images.
        val: The validation images.
        rows: The measurements of each backbone; empty unless this is the main process.
        features: Of any backbone; they list the refused images.
        left_out: Labelled videos and classes without frames, and why.
        equal: Images that are in both train and val; None if they were not searched for.
    """
    num_refused = {part.split: 0 for part in (train, val)}
    for refusal in features.refused:
        num_refused[refusal.split] += 1
    num_train = len(train) - num_refused[train.split]
    larger = [f"{k}" for k in command.k if k > num_train]
    notes = []
    if larger:
        notes.append(
            f"k = {', '.join(larger)} is more than the {num_train} training images; all of them "
            "vote."
        )
    if left_out:
        what = "video or class is" if len(left_out) == 1 else "videos or classes are"
        notes.append(
            f"{len(left_out):,} {what} left out (left_out in the file). The first: {left_out[0]}"
        )
    if len(train.classes) > MOST_CONFUSED:
        notes.append(
            f"There are no confusion matrices: with {len(train.classes):,} classes (more than "
            f"{MOST_CONFUSED:,}) the file would be too large."
        )
    by_class = _by_class(val, features.rows[features.rows >= len(train)] - len(train))
    notes += [*filter(None, [warning_of(equal, val)]), *notes_of(train, val, by_class)]
    if val.videos is not None and rows and "video_top1" not in rows[0]:
        notes.append("Videos of val have frames of several classes, so there are no video scores.")
    notes += [
        f"{row['name']}: the probe's best decay, {row['linear_decay']:g}, is {_end_of_grid(row)}"
        for row in rows
        if row.get("linear_decay") in (max(DECAYS), min(DECAYS)) and _is_sole_best(row)
    ]
    return {
        "format": FORMAT,
        "vidmoco": vidmoco.__version__,
        "command": command_line(
            "evaluate", command, positional="images", leave_out=_NOT_IN_COMMAND
        ),
        "images": str(command.images),
        "classes": list(train.classes),
        "num_train": num_train,
        "num_val": len(val) - num_refused[val.split],
        "num_val_by_class": by_class,
        "val_split": val.split,
        "refused": [asdict(refusal) for refusal in features.refused],
        "left_out": left_out,
        "equal_images": None if equal is None else asdict(equal),
        "num_other_files": train.num_other_files + val.num_other_files,
        "settings": {
            "layer": "pooled features",
            "k": list(command.k),
            "headline_k": headline_k(command.k),
            "knn_tau": list(command.tau),
            "few_shot": list(command.few_shot),
            "linear_decays": list(DECAYS) if command.linear else [],
            "finetune": list(command.finetune),
            "size": command.size,
            "crop_mode": command.crop_mode,
            "max_train_per_class": command.max_train_per_class,
            "precision": command.precision,
            "seed": command.seed,
        },
        "rows": rows,
        "notes": notes,
    }


def _end_of_grid(row: dict[str, Any]) -> str:
    """Return that the chosen decay is at an end of those tried, and what follows from it."""
    if row["linear_decay"] == max(DECAYS):
        return (
            "the strongest one tried. That is usual with few images. A stronger one might give a "
            "slightly higher accuracy."
        )
    return "the weakest one tried. A weaker one might give a slightly higher accuracy."


def _is_sole_best(row: dict[str, Any]) -> bool:
    """Return whether the chosen decay was better on the held-out part than all others."""
    held_out = dict(row["linear_held_out_top1"])
    chosen = held_out.pop(str(row["linear_decay"]), 0.0)
    return all(other < chosen for other in held_out.values())


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write the results as JSON, atomically.

    Raises:
        ConfigError: the file cannot be written.
    """
    advice = (
        ", or give another --output. Features and epochs are kept, so the same command is quick."
    )
    mark = uuid4().hex  # is in no text of a stranger
    text = json.dumps(_marked(results, mark), indent=2, allow_nan=False)
    text = re.sub(f'"{mark}([^"]*)"', r"\1", text)
    with atomic_write(path, advice=advice) as part:
        part.write_text(text + "\n", encoding="utf-8")


def _marked(value: Any, mark: str) -> Any:
    """Make a marked text of each list of numbers, so that it is written on one line.

    The confusion matrices of 1,000 classes took 26 MB with a line for each number.
    """
    if isinstance(value, dict):
        return {key: _marked(item, mark) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(type(item) in (int, float) for item in value):
        return mark + json.dumps(value, allow_nan=False, separators=(",", ":"))
    return [_marked(item, mark) for item in value]


def _by_class(val: LabelledImages, rows: Tensor) -> list[int]:
    """Return the number of readable images of each class."""
    return torch.bincount(val.labels[rows], minlength=len(val.classes)).tolist()


def print_results(
    results: dict[str, Any], *, path: Path | None = None, console: Console | None = None
) -> None:
    """Print the table, the settings, the notes and the refused images."""
    console = wide_console(console, columns=120)
    say(console, f"Accuracy on {results['images']} (%)")
    for table in results_tables(results, width=console.width):
        console.print(table)
    if line := imbalance_of(results):
        say(console, line)
    say(console, *settings_lines(results), *results["notes"], *refusal_lines(results))
    if path is not None:
        say(console, f"Written to {path}")
