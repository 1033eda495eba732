"""What a run folder says of a run, read without training code and without changing anything."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from vidmoco import run_folder
from vidmoco.backbones.folder import CONFIG_FILE
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe, shipped_recipes
from vidmoco.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """A run as its folder has it."""

    folder: Path
    text: str
    """config.yaml."""
    config: PretrainConfig | None
    """The same; None if this version cannot read it."""
    config_problem: str
    """Why it cannot; empty: it can."""
    environment: dict[str, Any]
    """environment.json; empty if it is missing or damaged."""
    metrics: list[dict[str, Any]]
    """Lines of metrics.jsonl, one at least."""
    monitor: list[dict[str, Any]]
    """Lines of monitor.jsonl, without the damaged ones."""
    monitor_problem: str
    """Which of them are damaged, in words; empty: none."""
    provenance: dict[str, Any]
    """What the backbone folder says of its making; empty before the end of the run."""

    @property
    def last(self) -> dict[str, Any]:
        """The last line of the metrics."""
        return self.metrics[-1]

    @property
    def total_steps(self) -> int | None:
        """Steps that were asked for; None if it is not known."""
        if self.config is None:
            return None
        if self.config.steps:
            return int(self.config.steps)
        epoch = _number(self.last.get("epoch"))
        if not epoch:
            return None
        return max(1, round(self.config.epochs * round(int(self.last["step"]) / epoch)))

    @property
    def state(self) -> str:
        """``finished``, ``stopped``, or ``open``: in progress, or ended by force."""
        step = self.last["step"]
        if self.total_steps is not None and step >= self.total_steps:
            return "finished" if self.provenance else "open"
        # A run that is told to stop writes its backbone; lines come after the step it stopped at
        # only when it goes on.
        told = _number(self.provenance.get("steps"))
        return "stopped" if told is not None and told >= step else "open"

    @property
    def seconds(self) -> float:
        """Time of the steps of all lines, in seconds."""
        return sum(_number(line.get("seconds")) or 0.0 for line in self.metrics)

    def base_recipe(self) -> tuple[str, PretrainConfig]:
        """Return the shipped recipe that the run began with, or the defaults; and its name."""
        name = self.provenance.get("recipe") or _after(self.environment, "--recipe") or "vidmoco"
        if name in shipped_recipes():
            return f"the recipe {name}", load_recipe(name)
        return "the defaults", PretrainConfig()


def read_run(folder: Path) -> RunFacts:
    """Return what a run folder holds.

    Raises:
        ConfigError: it is no run folder, has no settings or no numbers yet, or the numbers of the
            training are damaged. A damaged line of the monitor's is told in ``monitor_problem``.
    """
    config_file = folder / run_folder.CONFIG
    if not config_file.is_file():
        empty = " It is empty." if folder.is_dir() and not any(folder.iterdir()) else ""
        raise ConfigError(
            f"{folder} is not a run folder: it has no {run_folder.CONFIG}.{empty} Give the folder "
            "of a run, such as runs/latest, or a results file of `vidmoco evaluate`."
        )
    metrics = read_lines(folder / run_folder.METRICS)
    if not metrics:
        raise ConfigError(
            f"The run {folder} has no numbers yet: {run_folder.METRICS} gets its first line after "
            "--engine.log-every steps. Try again then."
        )
    text = config_file.read_text(encoding="utf-8", errors="replace")
    if not text.strip():
        raise ConfigError(
            f"{config_file} is empty: what the run was told is lost, and the defaults may be "
            f"others. The command it began with is in {folder / run_folder.ENVIRONMENT}: begin a "
            "new run with it, and put that one's file here."
        )
    config, problem = None, ""
    try:
        config = load_recipe(str(config_file))
    except (ConfigError, UnicodeDecodeError) as error:
        problem = str(error)
    monitor, damaged = _lines_of(folder / run_folder.MONITOR)
    backbone = _json_of(folder / run_folder.BACKBONE / CONFIG_FILE).get("vidmoco")
    return RunFacts(
        folder=folder,
        text=text,
        config=config,
        config_problem=problem,
        environment=_json_of(folder / run_folder.ENVIRONMENT),
        metrics=metrics,
        monitor=monitor,
        monitor_problem=_damage(damaged),
        provenance=backbone if isinstance(backbone, dict) else {},
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics.jsonl; none if there is no such file.

    A last line that is half written is left out.

    Raises:
        ConfigError: another line is damaged.
    """
    lines, damaged = _lines_of(path)
    if damaged:
        raise ConfigError(
            f"{path} is damaged in line {damaged[0]}: expected an object of JSON with a step. "
            "Without that line the report shows the others."
        )
    return lines


def _damage(damaged: list[int]) -> str:
    if not damaged:
        return ""
    what = f"line {damaged[0]}" if len(damaged) == 1 else f"{len(damaged)} lines"
    first = "" if len(damaged) == 1 else f", the first of them line {damaged[0]}"
    return f"{run_folder.MONITOR} is damaged in {what}{first}; its other lines are shown."


def _lines_of(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the lines of a file that can be read, and the numbers, from 1, of the damaged ones."""
    lines: list[dict[str, Any]] = []
    damaged: list[int] = []
    if not path.is_file():
        return lines, damaged
    for number, text in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if not text.endswith(b"\n"):
            break
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if isinstance(line, dict) and _number(line.get("step")) is not None:
            lines.append(line)
        else:
            damaged.append(number)
    return lines, damaged


def _json_of(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if there is none that can be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _after(environment: dict[str, Any], flag: str) -> str | None:
    """Return the word after a flag of the command that began the run."""
    words = environment.get("command")
    words = words if isinstance(words, list) else []
    words = [part for word in words for part in str(word).split("=", 1)]
    return next((b for a, b in pairwise(words) if a == flag), None)


def _number(value: Any) -> float | None:
    """Return a JSON number; None for anything else."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
