"""The printed table of a comparison, and the lines that explain it."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from vidmoco.console import Table
from vidmoco.text import counted

# Format of the results file; a reader refuses others.
FORMAT = 3
# Refused images that are printed; the file lists all.
_SHOWN_REFUSALS = 10
# The largest class may have so many times the images of the smallest to be called equal: unreadable
# images leave small differences.
_EQUAL = 1.1


def accuracy_columns(results: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """Return the accuracy columns: a title, and a value in percent for each backbone."""
    rows, tau = results["rows"], f"{results['settings']['knn_tau'][0]:g}"
    columns = [
        (f"k-NN {k}", [row["knn_top1"][tau][str(k)] for row in rows])
        for k in results["settings"]["k"]
    ]
    uneven = has_unequal_classes(results)
    if uneven and all("knn_balanced" in row for row in rows):
        k = str(results["settings"]["headline_k"])
        columns.append((f"k-NN {k}, balanced", [row["knn_balanced"][tau][k] for row in rows]))
    for key, title in (
        ("linear_top1", "linear top-1"),
        ("linear_balanced", "linear, balanced"),
        ("linear_top5", "linear top-5"),
    ):
        if all(key in row for row in rows) and (uneven or key != "linear_balanced"):
            columns.append((title, [row[key] for row in rows]))
    for share in results["settings"]["few_shot"]:
        means = [fmean(row["few_shot_top1"][f"{share:g}"]) for row in rows]
        columns.append((f"linear, {share_name(rows, f'{share:g}')}", means))
    for what in ("knn", "linear"):
        if all(what in row.get("video_top1", {}) for row in rows):
            title = f"video, {'k-NN' if what == 'knn' else what}"
            columns.append((title, [row["video_top1"][what]["mean"] for row in rows]))
    for rule in results["settings"]["finetune"]:
        done = [row["finetune"][rule] for row in rows]
        columns.append((f"{rule}, top-1", [one["top1"] for one in done]))
        if uneven and all("balanced" in one for one in done):
            columns.append((f"{rule}, balanced", [one["balanced"] for one in done]))
    return columns


def share_name(rows: Sequence[dict[str, Any]], share: str) -> str:
    """Return the name of a share of the training images: in percent, and images per class.

    Small shares are at least one image of each class, so two of them may be the same images.
    """
    counts = [row["few_shot_per_class"][share] for row in rows if "few_shot_per_class" in row]
    per_class = f" ({counts[0]:.3g} per class)" if counts else ""  # equal for all backbones
    return f"{100 * float(share):g} %{per_class}"


def has_unequal_classes(results: dict[str, Any]) -> bool:
    """Return whether the largest class of val has clearly more images than the smallest."""
    there = [count for count in results.get("num_val_by_class", []) if count] or [0]
    return bool(max(there) > _EQUAL * min(there))


def imbalance_of(results: dict[str, Any]) -> str:
    """Return a line on classes of unequal size, or an empty string where they are about equal."""
    if not has_unequal_classes(results):
        return ""
    counts = results["num_val_by_class"]
    there = [count for count in counts if count]
    share = 100 * max(there) / sum(there)
    largest, smallest = (results["classes"][counts.index(n)] for n in (max(there), min(there)))
    return (
        f"The classes of {results['val_split']} are unequal, from {min(there):,} images "
        f"({smallest}) to {max(there):,} ({largest}): to answer always {largest} gives a top-1 of "
        f"{share:.1f} %. Balanced is the mean of the classes' accuracies, where that gives "
        f"{100 / len(there):.1f} %."
    )


def results_tables(results: dict[str, Any], *, width: int) -> list[Table]:
    """Return tables with a row per backbone, in percent, the best of each column in bold.

    There are enough tables that none is wider than ``width`` characters.
    """
    rows = results["rows"]
    names = [row["name"] for row in rows]
    about = [
        (title, [str(row[key]) for row in rows])
        for title, key in (
            ("architecture", "architecture"),
            ("dim", "dim"),
            ("input", "input_size"),
        )
    ]
    shown = [
        (title, [f"{value:.1f}" for value in values]) for title, values in accuracy_columns(results)
    ]
    name_width = _width("backbone", names) + 1
    blocks: list[list[tuple[str, list[str]]]] = [[]]
    used = name_width + sum(_width(*column) for column in about)
    for column in shown:
        if used + _width(*column) > width and blocks[-1]:
            blocks.append([])
            used = name_width
        blocks[-1].append(column)
        used += _width(*column)
    return [_table(names, about if n == 0 else [], block) for n, block in enumerate(blocks)]


def _width(title: str, values: list[str]) -> int:
    """Return the width of a column: its longest text, a space on both sides, and a rule."""
    return max(map(cell_len, [title, *values])) + 3


def _table(
    names: list[str], about: list[tuple[str, list[str]]], shown: list[tuple[str, list[str]]]
) -> Table:
    table = Table()
    table.add_column("backbone", overflow="fold")
    for title, _ in [*about, *shown]:
        text = title == "architecture"
        table.add_column(
            title, justify="left" if text else "right", overflow="fold", no_wrap=not text
        )
    # Compare the printed numbers: 41.62 and 41.58 are both 41.6.
    best = [max(values, key=float) if len(names) > 1 else None for _, values in shown]
    for i, name in enumerate(names):
        cells = [
            Text(values[i], style="bold" if values[i] == top else "")
            for (_, values), top in zip(shown, best, strict=True)
        ]
        table.add_row(name, *(values[i] for _, values in about), *cells)
    return table


def settings_lines(results: dict[str, Any]) -> list[str]:
    """Return the lines needed to read or repeat the numbers."""
    settings = results["settings"]
    num_classes = len(results["classes"])
    cap = settings["max_train_per_class"]
    tau, k = f"{settings['knn_tau'][0]:g}", str(settings["headline_k"])
    has_linear = bool(settings["linear_decays"])
    k_name = "linear top-1" if has_linear else f"k-NN {k}"
    shown = [
        row["linear_interval"] if has_linear else row["knn_interval"][tau][k]
        for row in results["rows"]
    ]
    lines = [
        f"images: {results['num_train']} train"
        + (f" (at most {cap} per class)" if cap else "")
        + f", {results['num_val']} {results['val_split']}; {num_classes} classes, chance "
        f"{100 / num_classes:.1f} % when balanced",
        *_preprocessing_lines(results),
        f"features: {settings['layer']} of the frozen backbone, {settings['precision']}",
        f"k-NN: cosine, weights exp(s / {settings['knn_tau'][0]:g}), neighbours from train"
        + "".join(f"; exp(s / {tau:g}) is in the file" for tau in settings["knn_tau"][1:]),
        f"95 % intervals of {k_name}: {', '.join(map(_interval, shown))}",
    ]
    if settings["linear_decays"]:
        chosen = ", ".join(f"{row['linear_decay']:g}" for row in results["rows"])
        is_chosen = any(row.get("linear_held_out_top1", True) for row in results["rows"])
        how = "chosen on a tenth of train" if is_chosen else "not chosen, as train is too small"
        lines.append(
            "linear: logistic regression (L-BFGS) on standardised features, no augmentation; "
            f"weight decay {how}: {chosen}"
        )
    for share in settings["few_shot"]:
        draws = [row["few_shot_top1"][f"{share:g}"] for row in results["rows"]]
        spread = ", ".join(f"{stdev(d):.1f}" if len(d) > 1 else "one draw" for d in draws)
        lines.append(
            f"linear, {share_name(results['rows'], f'{share:g}')}: mean over {len(draws[0])} draws "
            "of this share of each class, at least one image or one whole group; standard "
            f"deviations {spread}"
        )
    if "video_top1" in results["rows"][0]:
        lines.append(
            f"video: mean of its frames' probabilities (k-NN {k}); max and vote are in the "
            "file. Intervals draw whole groups of frames"
        )
    for rule in settings["finetune"]:
        done = results["rows"][0]["finetune"][rule]
        what = "only the head, on the frozen backbone" if rule == "head" else "all layers"
        lines.append(
            f"{rule}: {what}, trained by SGD on random crops ({done['recipe']}: learning rate "
            f"{done['lr']:g}, {len(done['epochs'])} epochs, batches of "
            f"{done['batch_size']}); the last epoch counts, the file has all"
        )
    return [*lines, f"seed: {settings['seed']}"]


def _preprocessing_lines(results: dict[str, Any]) -> list[str]:
    """Return the preprocessing of images, by backbone if it differs."""
    done: dict[str, list[str]] = {}
    for row in results["rows"]:
        p = row["preprocess"]
        resized = math.floor(p["size"] / p["crop_pct"])
        what = "both sides" if p["crop_mode"] == "squash" else "short side"
        mean, std = (" ".join(f"{x:.3g}" for x in p[key]) for key in ("mean", "std"))
        line = (
            f"{what} to {resized}, centre crop of {p['size']}, {p['interpolation']}; mean {mean}, "
            f"std {std}"
        )
        done.setdefault(line, []).append(row["name"])
    if len(done) == 1:
        return [f"images of all backbones: {line}" for line in done]
    return [f"images of {', '.join(names)}: {line}" for line, names in done.items()]


def _interval(ends: list[float]) -> str:
    return f"{ends[0]:.1f} to {ends[1]:.1f}"


def refusal_lines(results: dict[str, Any]) -> list[str]:
    """Return lines about images that could not be read; the first few are named."""
    refused = results["refused"]
    lines = []
    if refused:
        what = f"{counted(len(refused), 'image')} could not be read"
        lines.append(f"{what} and {'is' if len(refused) == 1 else 'are'} left out:")
        lines += [f"  {one['name']}: {one['reason']}" for one in refused[:_SHOWN_REFUSALS]]
        if len(refused) > _SHOWN_REFUSALS:
            lines.append(f"  and {len(refused) - _SHOWN_REFUSALS} more, in the results file")
    if results["num_other_files"]:
        count = results["num_other_files"]
        what = "has a suffix" if count == 1 else "have suffixes"
        lines.append(f"{counted(count, 'file')} {what} of no image format.")
    return lines
