"""How the tests of a comparison run one."""

import io
from pathlib import Path

from rich.console import Console

from vidmoco.config.evaluation import EvaluateCommand
from vidmoco.evaluate.compare import evaluate
from vidmoco.evaluate.results import print_results


def run(images, tmp_path, *backbones, **options):
    """Evaluate and return results, what was printed, and what was shown meanwhile."""
    command = EvaluateCommand(
        images=images,
        backbone=backbones or ("random:test_resnet",),
        **{"output": tmp_path / "r.json", "size": 32, "k": (1, 3), "workers": 0} | options,
    )
    table, log = io.StringIO(), io.StringIO()
    results = evaluate(command, console=Console(file=log), output=Console(file=table))
    return results, table.getvalue(), log.getvalue()


def accuracies(results):
    return [
        {key: row[key] for key in ("knn_top1", "linear_top1", "linear_decay")}
        for row in results["rows"]
    ]


def a_row(name, *, knn, linear, top5=None):
    """Return a row of results by hand."""
    values = {
        "name": name,
        "architecture": "resnet18",
        "dim": 512,
        "input_size": 64,
        "preprocess": {
            "size": 64,
            "crop_pct": 0.875,
            "interpolation": "bilinear",
            "crop_mode": "center",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
        "knn_top1": {"0.07": {"1": knn[0], "20": knn[1]}, "0.1": {"1": 9.0, "20": 9.0}},
        "knn_interval": {"0.07": {"1": [0.0, 1.0], "20": [0.0, 1.0]}},
        "linear_interval": [linear - 1, linear + 1],
        "linear_top1": linear,
        "linear_decay": 0.01,
    }
    return values if top5 is None else values | {"linear_top5": top5}


def some_results(*rows, num_classes=3, refused=()):
    """Return results of rows."""
    return {
        "images": "some/[folder]",
        "classes": [f"class{i}" for i in range(num_classes)],
        "num_train": 100,
        "num_val": 50,
        "val_split": "test",
        "refused": list(refused),
        "num_other_files": 2,
        "settings": {
            "layer": "pooled features",
            "k": [1, 20],
            "knn_tau": [0.07, 0.1],
            "few_shot": [],
            "headline_k": 20,
            "finetune": [],
            "linear_decays": [0.1, 0.01],
            "size": None,
            "crop_mode": None,
            "max_train_per_class": 4,
            "precision": "fp32",
            "seed": 5,
        },
        "rows": list(rows),
        "notes": ["a note"],
    }


def printed(given, *, styled=False):
    """Return what is printed of results."""
    file = io.StringIO()
    console = Console(
        file=file, width=120, force_terminal=styled, color_system="standard" if styled else None
    )
    print_results(given, path=Path("r.json"), console=console)
    return file.getvalue()
