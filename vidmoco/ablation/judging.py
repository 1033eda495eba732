"""What the backbones of an ablation are worth: their accuracies on the judges' images."""

import hashlib
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from vidmoco.ablation.plan import Judge
from vidmoco.backbones.folder import weights_file
from vidmoco.backbones.source import parse_source
from vidmoco.config.evaluation import EvaluateCommand
from vidmoco.config.plain import to_plain
from vidmoco.content import hash_of_file
from vidmoco.evaluate.compare import evaluate
from vidmoco.evaluate.results import write_results
from vidmoco.evaluate.results_table import accuracy_columns

RESULTS = "results"


def judged(
    judge: Judge, name: str, backbone: str, folder: Path, *, console: Console
) -> dict[str, float]:
    """Return the accuracies of a backbone in percent, by title, measured once.

    They are kept as a results file of `vidmoco evaluate`, ``results/JUDGE/NAME.json``, and measured
    again if the judge's settings, its files or the weights have changed.

    Raises:
        VidmocoError: the images or the backbone cannot be used.
    """
    path = folder / RESULTS / judge.name / f"{name}.json"
    key = {
        "judge": to_plain(judge.settings),
        "files": _files(judge.command(backbone)),
        "backbone": _identity(backbone),
    }
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if kept.get("ablation") != key:
        quiet = Console(quiet=True)
        kept = evaluate(judge.command(backbone), console=console, output=quiet, writes=False)
        kept["ablation"] = key
        path.parent.mkdir(parents=True, exist_ok=True)
        write_results(path, kept)
    return {title: values[0] for title, values in accuracy_columns(kept)}


def _identity(backbone: str) -> dict[str, Any]:
    """Return what identifies a backbone: the content of its folder's weights, or its name."""
    source = parse_source(backbone)
    if source.folder is None:
        return {"name": backbone}
    weights = hash_of_file(weights_file(source.folder))
    return {"weights": weights, "is_random": source.is_random}


def _files(command: EvaluateCommand) -> str:
    """Return a hash of the names, sizes and times of all files of a judge."""
    digest = hashlib.sha256()
    for given in filter(None, (command.images, command.videos.labels)):
        root = given.expanduser()
        for file in sorted([root, *root.rglob("*")]):
            if file.is_file():
                state = file.stat()
                about = file.relative_to(root).as_posix(), state.st_size, state.st_mtime_ns
                digest.update(json.dumps(about).encode())
    return digest.hexdigest()[:24]
