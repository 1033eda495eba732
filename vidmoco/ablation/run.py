"""Run an ablation: check everything, train, judge, and write the table."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vidmoco.ablation.judging import judged
from vidmoco.ablation.overlap import require_no_overlap
from vidmoco.ablation.plan import Plan, Row, load_plan
from vidmoco.ablation.summary import summarise
from vidmoco.ablation.table import charts, markdown
from vidmoco.ablation.trainings import (
    measured_steps,
    require_same_settings,
    train_all,
    trainings_of,
)
from vidmoco.atomic_file import atomic_write
from vidmoco.backbones.timm_names import require_sources
from vidmoco.console import say
from vidmoco.cores import require_device
from vidmoco.run_folder import make_writable_folder
from vidmoco.urls import require_paths


@dataclass(frozen=True)
class Ablation:
    """A finished ablation, or as much of it as could be done."""

    summary: dict[str, Any]
    """The content of table.json (``summarise``)."""
    failures: list[str]
    """A line for each training that failed."""


def run_ablation(
    file: Path,
    output: Path,
    *,
    jobs: int = 1,
    threads: int | None = None,
    workers: int | None = None,
    console: Console | None = None,
) -> Ablation:
    """Train all rows of an ablation, judge them, and write table.md, table.json and the charts.

    It goes on where it was stopped: finished trainings, checkpoints and results are kept. The table
    is written after every training.

    Args:
        file: The ablation (``plan``).
        output: The folder of its runs, results and table.
        jobs: Trainings at a time. Where the budget is in minutes, speeds are measured one by one
            before.
        threads: Threads of each training. The default is that of `vidmoco pretrain`.
        workers: Processes or threads of each training that read frames.
        console: Shows progress; the default is standard error.

    Raises:
        ConfigError: a key, a value or a path cannot be used, a run folder has other settings, or a
            judge shows videos of the training. Nothing has been trained then.
        TrainingError: the speed of a row could not be measured.
        VidmocoError: a judge's images or a frozen backbone cannot be used.
    """
    console = console or Console(stderr=True)
    plan = load_plan(file)
    for row in plan.rows:
        _require_parts(row)
    make_writable_folder(output, flag="--output")
    require_same_settings(plan, output)
    require_no_overlap(plan)
    flags = [
        word
        for flag, value in (("--engine.threads", threads), ("--workers", workers))
        if value is not None
        for word in (flag, str(value))
    ]
    scores: dict[tuple[str, int], dict[str, dict[str, float]]] = {}
    for row in plan.rows:
        if row.frozen:  # first: a judge that cannot be read ends the ablation early
            values = _scores(plan, row.name, _frozen(row), output, console)
            scores |= {(row.name, seed): values for seed in plan.seeds}
    trained = [row for row in plan.rows if not row.frozen]
    # At its own speed each: before any other trains.
    alone = flags if jobs == 1 else []
    steps = {row.name: measured_steps(row, output, flags=alone, console=console) for row in trained}
    trainings = trainings_of(plan, output, steps)
    failures: list[str] = []
    command = shlex.join(["python", "tools/ablate.py", str(file), "-o", str(output)])
    summary = summarise(plan, scores, steps)
    for number, (training, failure) in enumerate(
        train_all(trainings, output, jobs=jobs, flags=flags), start=1
    ):
        if failure:
            failures.append(failure)
            say(console, failure)
        else:
            key = (training.row, training.seed)
            scores[key] = _scores(plan, training.name, str(training.run.path), output, console)
        say(console, f"{number} of {len(trainings)} trainings: {training.name}")
        summary = summarise(plan, scores, steps)
        _write(plan, summary, output, command=command, failures=failures)
    _write(plan, summary, output, command=command, failures=failures)
    return Ablation(summary, failures)


def _require_parts(row: Row) -> None:
    """Check what a row names, as `vidmoco pretrain` does before it begins."""
    if row.frozen:
        require_sources(_frozen(row))
        return
    config = row.config
    require_device(config.engine.device)
    require_sources(config.backbone.name, config.backbone.weights)
    require_paths(config.monitor.images)


def _scores(
    plan: Plan, name: str, backbone: str, output: Path, console: Console
) -> dict[str, dict[str, float]]:
    return {
        judge.name: judged(judge, name, backbone, output, console=console) for judge in plan.judges
    }


def _frozen(row: Row) -> str:
    """Return the frozen backbone of a row: ``random`` has the architecture of the trainings."""
    return f"random:{row.config.backbone.name}" if row.frozen == "random" else row.frozen


def _write(
    plan: Plan, summary: dict[str, Any], output: Path, *, command: str, failures: list[str]
) -> None:
    texts = {
        "table.json": json.dumps(summary, indent=2, allow_nan=False) + "\n",
        "table.md": markdown(plan, summary, command=command, failures=failures),
        **{f"{judge}.svg": text for judge, text in charts(summary).items()},
    }
    for name, text in texts.items():
        with atomic_write(output / name) as part:
            part.write_text(text, encoding="utf-8")
