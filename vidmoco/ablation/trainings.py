"""The trainings of an ablation: a process and a run folder each, which go on after a kill."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from statistics import median

from rich.console import Console

from vidmoco import run_folder
from vidmoco.ablation.plan import Plan, Row
from vidmoco.api.runs import Run
from vidmoco.atomic_file import atomic_write, remove
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import dump_recipe, load_recipe
from vidmoco.config.resume import refused_changes
from vidmoco.console import say
from vidmoco.errors import ConfigError, TrainingError
from vidmoco.json_lines import read_metrics
from vidmoco.urls import absolute_paths

RUNS, SPEEDS, LOGS, SETTINGS = "runs", "speeds", "logs", "settings"
_SPEED_STEPS = 40
_SPEED_FROM = 20  # the first steps are slower: caches fill, and processes start
_LAST_LINES = 3
_ERROR = "vidmoco: "  # how the line begins in which a command says why it ends


@dataclass(frozen=True)
class Training:
    """The training of a row with a seed."""

    row: str
    seed: int
    config: PretrainConfig
    run: Run

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.run.path.name


def require_same_settings(plan: Plan, folder: Path) -> None:
    """Refuse run folders of other settings under the names of this ablation's.

    The length may differ: it is compared when it is known.

    Raises:
        ConfigError: a run was trained with other settings.
    """
    for row in plan.rows:
        for seed in () if row.frozen else plan.seeds:
            _require_own(folder, row, seed, replace(row.config, seed=seed))


def measured_steps(row: Row, folder: Path, *, flags: Sequence[str], console: Console) -> int:
    """Return the number of steps that a row takes in its minutes, when it trains alone.

    It is measured once, by a short training; start-up does not count. A row that has changed since
    then is measured again.

    Raises:
        TrainingError: the short training failed.
    """
    if row.steps is not None:
        return row.steps
    assert row.minutes is not None
    config = replace(
        row.config,
        steps=_SPEED_STEPS,
        engine=replace(row.config.engine, log_every=_SPEED_STEPS // 4),
    )
    training = Training(row.name, 0, config, Run(folder / SPEEDS / row.name))
    if _changes(training.run, config):
        remove(training.run.path)
    if not training.run.is_finished:
        say(console, f"{row.name}: measuring its speed, alone")
        _train(training, folder, flags)
    lines = read_metrics(training.run.path / run_folder.METRICS)
    speed: float = median(one["pairs_per_second"] for one in lines if one["step"] > _SPEED_FROM)
    return max(1, round(row.minutes * 60 * speed / config.data.batch_size))


def trainings_of(plan: Plan, folder: Path, steps: dict[str, int]) -> list[Training]:
    """Return all trainings, seed by seed, so that the table has all rows early.

    Raises:
        ConfigError: a run has another length.
    """
    found = []
    for seed in plan.seeds:
        for row in plan.rows:
            if row.frozen:
                continue
            config = replace(row.config, seed=seed, steps=steps[row.name])
            run = _require_own(folder, row, seed, config, length=True)
            found.append(Training(row.name, seed, config, run))
    return found


def train_all(
    trainings: Sequence[Training], folder: Path, *, jobs: int, flags: Sequence[str]
) -> Iterator[tuple[Training, str]]:
    """Train what is not finished, ``jobs`` at a time. Yield each with why it failed, or "".

    ``flags`` are further flags of `vidmoco pretrain` that compute nothing else, such as its
    threads.
    """
    finished = [one.run.is_finished for one in trainings]  # now: others end while these are judged
    with ThreadPoolExecutor(jobs) as pool:
        running = {
            pool.submit(_train, one, folder, flags): one
            for one, is_finished in zip(trainings, finished, strict=True)
            if not is_finished
        }
        try:
            yield from ((one, "") for one in compress(trainings, finished))
            for future in as_completed(running):
                error = future.exception()
                if error is not None and not isinstance(error, TrainingError):
                    raise error
                yield running[future], "" if error is None else str(error)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _train(training: Training, folder: Path, flags: Sequence[str]) -> None:
    """Run `vidmoco pretrain` in a process of its own; its output goes to a log.

    Raises:
        TrainingError: it failed; the message has the end of the log.
    """
    run = training.run.path
    log = folder / LOGS / f"{run.parent.name}-{training.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if (run / run_folder.CONFIG).is_file():
        command = ["--run", str(run), "--resume"]
    else:
        recipe = folder / SETTINGS / f"{run.parent.name}-{training.name}.yaml"
        with atomic_write(recipe) as part:
            part.write_text(dump_recipe(training.config), encoding="utf-8")
        command = ["--recipe", str(recipe), "--run", str(run)]
    with log.open("a", encoding="utf-8") as file:
        before = file.tell()
        code = subprocess.run(
            [sys.executable, "-m", "vidmoco", "pretrain", *command, *flags],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ | {"COLUMNS": "200"},
            check=False,
        ).returncode
    if code:
        said = log.read_bytes()[before:].decode(errors="replace")
        raise TrainingError(
            f"{training.name} ended with exit code {code}: {_reason(said)} (all in {log})"
        )


def _reason(said: str) -> str:
    """Return the error that a command has printed last, or its last lines if it printed none."""
    lines = said.splitlines()
    errors = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    return errors[-1] if errors else " ".join(lines[-_LAST_LINES:])


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


def _require_own(
    folder: Path, row: Row, seed: int, config: PretrainConfig, *, length: bool = False
) -> Run:
    """Return the run of a row and a seed, which may not exist yet, but not with other settings."""
    run = Run(folder / RUNS / f"{row.name}-seed{seed}")
    path = run.path / run_folder.CONFIG
    advice = "Rename the row, give another --output, or delete that run."
    if changed := _changes(run, config):
        raise ConfigError(
            f"{run.path} was trained with other settings: {'; '.join(changed)}. {advice}"
        )
    if length and path.is_file() and (steps := load_recipe(str(path)).steps) != config.steps:
        raise ConfigError(
            f"{run.path} takes {steps} steps, and the row {row.name!r} {config.steps}. {advice}"
        )
    return run


def _changes(run: Run, config: PretrainConfig) -> list[str]:
    """Return what a run, which may not exist yet, was trained with in place of these settings."""
    path = run.path / run_folder.CONFIG
    if not path.is_file():
        return []
    saved = load_recipe(str(path))
    changed = refused_changes(saved, replace(config, videos=saved.videos), run=run.path)
    if absolute_paths(saved.videos) != absolute_paths(config.videos):  # a resume may move them
        changed.append(f"videos: {_listed(saved.videos)} and {_listed(config.videos)}")
    return changed
