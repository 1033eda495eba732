#!/usr/bin/env python
r"""Detection transfer: Faster R-CNN fine-tuned from a backbone, as the MoCo papers judge theirs.

    python tools/finetune_detection.py --backbone runs/latest --run runs/voc \
        --train VOCdevkit/VOC2007:trainval VOCdevkit/VOC2012:trainval --val VOCdevkit/VOC2007:test
    torchrun --nproc-per-node 8 tools/finetune_detection.py …      the same, on eight GPUs

Needs ``pip install 'vidmoco[detection]'``. The defaults are those of MoCo for Pascal VOC (Faster
R-CNN R50-C4, 24k steps of 16 images), but for objects marked as difficult: the authors train on
them too (--train-difficult). Expected there, of ImageNet MoCo v2, 200 epochs: AP 57.0, AP50 82.4,
AP75 63.6 (github.com/facebookresearch/moco, detection/README.md), by the rule of VOC 2007; the
deviation over runs is 0.2 to 0.4, so take the mean of five seeds.

COCO has a folder and a file for each part. The papers' schedules there, "2x" and half of it, "1x":

    --train coco/annotations/instances_train2017.json:coco/train2017
    --val coco/annotations/instances_val2017.json:coco/val2017 --warmup 1000
    --short-sides 640 672 704 736 768 800 --iterations 180000 --milestones 120000 160000
    --detector fpn … --iterations 90000 --milestones 60000 80000

NOTE: the papers train Mask R-CNN on COCO; here there are no masks, so AP is a little lower.
"""

import sys
from collections.abc import Sequence
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from vidmoco.console import say, wide_console
from vidmoco.errors import VidmocoError
from vidmoco.evaluate.detection.settings import DetectionSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 done, 2 the user's mistake, 130 or 143 stopped."""
    try:
        settings = tyro.cli(
            DetectionSettings, args=argv, prog="finetune_detection", description=__doc__
        )
        from vidmoco.evaluate.detection.finetune import RESULTS, finetune_detection

        outcome = finetune_detection(settings, console=Console(stderr=True))
    except VidmocoError as error:
        print(f"finetune_detection: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("finetune_detection: stopped", file=sys.stderr)
        return 130
    if outcome.results is not None:
        report(outcome.results)
        print(f"Written to {settings.run / RESULTS}")
    return outcome.exit_code


def report(results: dict[str, Any]) -> None:
    """Print the table, and what one must know to read it."""
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
    """Return what was left out of the images, and what makes the numbers suspect."""
    backbone, settings = results["backbone"], results["settings"]
    lines = [
        f"{backbone['architecture']}, weights {backbone['weights_hash']}; {settings['iterations']} "
        f"steps, seed {settings['seed']}"
    ]
    for part in ("train", "val"):
        seen = results[part]
        lines.append(
            f"{part}: {seen['num_images']} images, {seen['num_boxes']} boxes ({seen['num_crowd']} "
            f"crowds, {seen['num_difficult']} difficult); {seen['num_clipped']} cut at an edge, "
            f"{seen['num_dropped']} without area left out"
        )
    absent = [name for name, ap in results["per_class_ap"].items() if ap is None]
    if absent:
        lines.append(f"no object in val, so not in the mean: {', '.join(absent)}")
    if results["num_images_in_both"]:
        lines.append(
            f"{results['num_images_in_both']} images are in train and in val: AP measures memory"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
