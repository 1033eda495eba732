"""The printed results of a detection transfer: a table of AP, and lines that explain it."""

from typing import Any

from vidmoco.console import Table, say, wide_console


def print_results(results: dict[str, Any]) -> None:
    """Print the table and the lines of ``notes``."""
    table = Table()
    table.add_column("backbone", overflow="fold")
    for title in ("detector", "rule"):
        table.add_column(title)
    for title in ("AP", "AP50", "AP75"):
        table.add_column(title, justify="right")
    rules = {"COCO, 101 recalls": results}
    if results["val"]["format"] == "voc":
        rules["VOC 2007, 11 recalls"] = results["voc07"]
    for rule, scores in rules.items():
        numbers = [f"{scores[name]:.1f}" for name in ("ap", "ap50", "ap75")]
        table.add_row(results["backbone"]["name"], results["detector"], rule, *numbers)
    console = wide_console(columns=120)
    console.print(table)
    say(console, *notes(results))


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
