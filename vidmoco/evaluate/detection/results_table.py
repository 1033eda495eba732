"""The printed results of a detection transfer: a table of AP, and lines that explain it."""

from typing import Any

from vidmoco.console import Table, say, wide_console

SCORES = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}
"""Key of the results: title of its column."""


def print_results(results: dict[str, Any]) -> None:
    """Print the table and the lines of ``notes``."""
    table = Table()
    table.add_column("backbone", overflow="fold")
    for title in ("detector", "rule"):
        table.add_column(title)
    for title in SCORES.values():
        table.add_column(title, justify="right")
    for rule, scores in scores_by_rule(results).items():
        numbers = [f"{scores[name]:.1f}" for name in SCORES]
        table.add_row(results["backbone"]["name"], results["detector"], rule, *numbers)
    console = wide_console(columns=120)
    console.print(table)
    say(console, *notes(results))


def scores_by_rule(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the scores by each rule that counts for the format of val, by the rule's name."""
    rules = {"COCO, 101 recalls": results}
    if results["val"]["format"] == "voc":
        rules["VOC 2007, 11 recalls"] = results["voc07"]
    return rules


def notes(results: dict[str, Any]) -> list[str]:
    """Return settings, what was left out of the images, and what makes the numbers suspect."""
    backbone, settings = results["backbone"], results["settings"]
    lines = [
        f"{backbone['architecture']}, weights {backbone['weights_hash']}; {settings['iterations']} "
        f"steps, seed {settings['seed']}"
    ]
    for part in ("train", "val"):
        seen = results[part]
        lines.append(
            f"{part}: {seen['num_images']} images, {seen['num_boxes']} boxes ({seen['num_crowd']} "
            f"crowds, {seen['num_difficult']} difficult); {seen['num_clipped']} clipped at an "
            f"edge, {seen['num_dropped']} without area left out"
        )
    absent = [name for name, ap in results["per_class_ap"].items() if ap is None]
    if absent:
        lines.append(f"without objects in val, so not in the mean: {', '.join(absent)}")
    if results["num_images_in_both"]:
        lines.append(
            f"{results['num_images_in_both']} images are in both train and val, so AP measures "
            "memory"
        )
    return lines
