"""The results of a comparison: the file and the table."""

import json
import os
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vidmoco.errors import ConfigError
from vidmoco.run_folder import make_writable_folder

# Refused images shown on the screen; the file lists all.
_SHOWN_REFUSALS = 10


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
