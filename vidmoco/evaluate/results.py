"""The results of a comparison: the file and the table."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

import vidmoco
from vidmoco.errors import ConfigError
from vidmoco.evaluate.features import Features
from vidmoco.evaluate.images import LabelledImages
from vidmoco.evaluate.linear import DECAYS
from vidmoco.evaluation_commands import EvaluateCommand
from vidmoco.run_folder import make_writable_folder

# Refused images shown on the screen; the file lists all.
_SHOWN_REFUSALS = 10


# Of the results file; a reader refuses another.
FORMAT = 3


def require_writable(path: Path) -> None:
    """Raise ``ConfigError``, before the long work, if the results cannot be written to ``path``."""
    if path.is_dir():
        raise ConfigError(
            f"--output is {path}, a folder; give a file, such as {path / 'results.json'}."
        )
    if path.suffix != ".json":
        raise ConfigError(
            f"--output is {path}; the results are JSON: give a name that ends in .json."
        )
    make_writable_folder(path.parent, flag="--output")


def results_of(
    command: EvaluateCommand,
    train: LabelledImages,
    val: LabelledImages,
    *,
    rows: list[dict[str, Any]],
    features: Features,
) -> dict[str, Any]:
    """Return what the results file says; ``features`` are those of any backbone."""
    num_refused = {part.split: 0 for part in (train, val)}
    for refusal in features.refused:
        num_refused[refusal.split] += 1
    num_train = len(train) - num_refused[train.split]
    notes = [
        f"k = {k} is more than the {num_train} training images: all of them vote."
        for k in command.k
        if k > num_train
    ]
    notes += [
        f"{row['name']}: the probe's best decay, {row['linear_decay']:g}, is the "
        f"{'strongest' if row['linear_decay'] == max(DECAYS) else 'weakest'} tried."
        for row in rows
        if row.get("linear_decay") in (max(DECAYS), min(DECAYS)) and _is_best_alone(row)
    ]
    return {
        "format": FORMAT,
        "vidmoco": vidmoco.__version__,
        "images": str(command.images),
        "classes": list(train.classes),
        "num_train": num_train,
        "num_val": len(val) - num_refused[val.split],
        "val_split": val.split,
        "refused": [asdict(refusal) for refusal in features.refused],
        "num_other_files": train.num_other_files + val.num_other_files,
        "settings": {
            "layer": "pooled features",
            "k": list(command.k),
            "knn_tau": list(command.knn_tau),
            "few_shot": list(command.few_shot),
            "linear_decays": list(DECAYS) if command.linear else [],
            "finetune": list(command.finetune),
            "finetune_batch_size": command.finetune_batch_size,
            "size": command.size,
            "max_train_per_class": command.max_train_per_class,
            "precision": command.precision,
            "seed": command.seed,
        },
        "rows": rows,
        "notes": notes,
    }


def _is_best_alone(row: dict[str, Any]) -> bool:
    """Return whether no other decay was as good on the held-out part as the one chosen."""
    held_out = dict(row["linear_held_out_top1"])
    chosen = held_out.pop(str(row["linear_decay"]), 0.0)
    return all(other < chosen for other in held_out.values())


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write the results as JSON: the old file or the whole new one is there at any moment."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(results, file, indent=2, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def print_results(results: dict[str, Any], *, path: Path, console: Console | None = None) -> None:
    """Print the table, the settings beside it, notes, and the images that were refused."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=max(console.width, 120))
    title = f"Accuracy on {results['images']} (%)"
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    console.print(results_table(results))
    for line in [*settings_lines(results), *results["notes"], *refusal_lines(results)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"Written to {path}", markup=False, highlight=False, soft_wrap=True)


def results_table(results: dict[str, Any]) -> Table:
    """Return one row a backbone, accuracies in percent, the best of each column in bold."""
    rows, tau = results["rows"], f"{results['settings']['knn_tau'][0]:g}"
    columns: list[tuple[str, list[float]]] = [
        (f"k-NN {k}", [row["knn_top1"][tau][str(k)] for row in rows])
        for k in results["settings"]["k"]
    ]
    for key, title in (("linear_top1", "linear top-1"), ("linear_top5", "linear top-5")):
        if all(key in row for row in rows):
            columns.append((title, [row[key] for row in rows]))
    for share in results["settings"]["few_shot"]:
        means = [fmean(row["few_shot_top1"][f"{share:g}"]) for row in rows]
        columns.append((f"linear, {100 * share:g} %", means))
    for rule in results["settings"]["finetune"]:
        columns.append((f"{rule}, top-1", [row["finetune"][rule]["top1"] for row in rows]))
    table = Table()
    table.add_column("backbone", overflow="fold")
    table.add_column("architecture", overflow="fold")
    for title in ("dim", "input", *(title for title, _ in columns)):
        table.add_column(title, justify="right", no_wrap=True)
    shown = [[f"{value:.1f}" for value in values] for _, values in columns]
    # Bold goes by what is shown: 41.62 and 41.58 are both 41.6.
    best = [max(values, key=float) if len(rows) > 1 else None for values in shown]
    for i, row in enumerate(rows):
        cells = [
            Text(values[i], style="bold" if values[i] == top else "")
            for values, top in zip(shown, best, strict=True)
        ]
        table.add_row(
            Text(row["name"]),
            Text(row["architecture"]),
            Text(str(row["dim"])),
            Text(str(row["input_size"])),
            *cells,
        )
    return table


def settings_lines(results: dict[str, Any]) -> list[str]:
    """Return what one must know to read or repeat the numbers."""
    settings = results["settings"]
    num_classes = len(results["classes"])
    cap = settings["max_train_per_class"]
    tau, last = f"{settings['knn_tau'][0]:g}", str(settings["k"][-1])
    has_linear = bool(settings["linear_decays"])
    k_name = "linear top-1" if has_linear else f"k-NN {last}"
    shown = [
        row["linear_interval"] if has_linear else row["knn_interval"][tau][last]
        for row in results["rows"]
    ]
    lines = [
        f"images: {results['num_train']} train"
        + (f" (at most {cap} a class)" if cap else "")
        + f", {results['num_val']} {results['val_split']}; {num_classes} classes, chance "
        f"{100 / num_classes:.1f} % when balanced",
        f"features: {settings['layer']} of the frozen backbone, {settings['precision']}",
        f"k-NN: cosine, weights exp(s / {settings['knn_tau'][0]:g}), neighbours from train"
        + "".join(f"; exp(s / {tau:g}) is in the file" for tau in settings["knn_tau"][1:]),
        f"95 % intervals, by the bootstrap, of {k_name}: {', '.join(map(_interval, shown))}",
    ]
    if settings["linear_decays"]:
        chosen = ", ".join(f"{row['linear_decay']:g}" for row in results["rows"])
        lines.append(
            "linear: logistic regression (L-BFGS) on standardised features, no augmentation; decay "
            f"chosen on a tenth of train: {chosen}"
        )
    for share in settings["few_shot"]:
        draws = [row["few_shot_top1"][f"{share:g}"] for row in results["rows"]]
        spread = ", ".join(f"{stdev(d):.1f}" if len(d) > 1 else "one draw" for d in draws)
        lines.append(
            f"linear, {100 * share:g} %: mean of {len(draws[0])} draws of so much of each class; "
            f"standard deviations {spread}"
        )
    for rule in settings["finetune"]:
        done = results["rows"][0]["finetune"][rule]
        what = "the head alone, the backbone frozen" if rule == "head" else "all layers"
        lines.append(
            f"{rule}: {what}, trained by SGD on random crops ({done['recipe']}: rate "
            f"{done['lr']:g}, {len(done['epochs'])} epochs, batches of "
            f"{settings['finetune_batch_size']}); the last epoch counts, all are in the file"
        )
    return [*lines, f"seed: {settings['seed']}"]


def _interval(ends: list[float]) -> str:
    return f"{ends[0]:.1f} to {ends[1]:.1f}"


def refusal_lines(results: dict[str, Any]) -> list[str]:
    """Return the images that could not be read, the first few by name."""
    refused = results["refused"]
    lines = []
    if refused:
        lines.append(f"{len(refused)} images could not be read and are left out:")
        lines += [f"  {one['name']}: {one['reason']}" for one in refused[:_SHOWN_REFUSALS]]
        if len(refused) > _SHOWN_REFUSALS:
            lines.append(f"  and {len(refused) - _SHOWN_REFUSALS} more, in the results file")
    if results["num_other_files"]:
        lines.append(f"{results['num_other_files']} files are no images by their suffix.")
    return lines
