"""Read the content of a run folder, without training code and without changing anything."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidmoco import run_folder
from vidmoco.backbones.folder import CONFIG_FILE
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe, shipped_recipes
from vidmoco.errors import ConfigError
from vidmoco.json_text import parse_json, read_json
from vidmoco.lock import is_held


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """The content of a run folder."""

    folder: Path
    text: str
    """config.yaml as text."""
    config: PretrainConfig | None
    """config.yaml, or None if this version cannot read it."""
    config_problem: str
    """Why the config cannot be read, or an empty string."""
    environment: dict[str, Any]
    """environment.json; empty if it is missing or damaged."""
    metrics: list[dict[str, Any]]
    """Lines of metrics.jsonl, at least one."""
    monitor: list[dict[str, Any]]
    """Undamaged lines of monitor.jsonl."""
    monitor_problem: str
    """Which lines of it are damaged, or an empty string."""
    provenance: dict[str, Any]
    """Provenance in the backbone folder; empty before the end of the run."""

    @property
    def last(self) -> dict[str, Any]:
        """The last line of the metrics."""
        return self.metrics[-1]

    @property
    def total_steps(self) -> int | None:
        """Number of steps of the whole run, or None if it is unknown."""
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
        """``finished``, ``stopped``, or ``open``: in progress or killed."""
        step = self.last["step"]
        if self.total_steps is not None and step >= self.total_steps:
            return "finished" if self.provenance else "open"
        # A run that a signal stops writes its backbone. It has later lines only if it was resumed.
        saved_at = _number(self.provenance.get("steps"))
        return "stopped" if saved_at is not None and saved_at >= step else "open"

    @property
    def seconds(self) -> float:
        """Total time of the logged steps, in seconds."""
        return sum(_number(line.get("seconds")) or 0.0 for line in self.metrics)

    def base_recipe(self) -> tuple[str, PretrainConfig]:
        """Return name and settings of the shipped recipe of the run, or the defaults."""
        name = str(self.environment.get("recipe") or self.provenance.get("recipe") or "vidmoco")
        if name in shipped_recipes():
            return f"the recipe {name}", load_recipe(name)
        return "the defaults", PretrainConfig()


def read_run(folder: Path) -> RunFacts:
    """Return the content of a run folder.

    Raises:
        ConfigError: the folder is not a run folder, has no settings or metrics yet, or its metrics
            are damaged. Damage of the monitor's lines goes to ``monitor_problem``.
    """
    config_file = folder / run_folder.CONFIG
    if not config_file.is_file():
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        if inside := [one for one in entries if (one / run_folder.CONFIG).is_file()]:
            raise ConfigError(
                f"{folder} is not a run folder, and {len(inside)} in it are, such as {inside[0]}. "
                f"Give them: vidmoco report {shlex.quote(str(folder))}/* -o report.html"
            )
        empty = " It is empty." if folder.is_dir() and not entries else ""
        raise ConfigError(
            f"{folder} is not a run folder: it has no {run_folder.CONFIG}.{empty} Give the folder "
            "of a run, such as runs/latest, or a results file (.json) of `vidmoco evaluate`."
        )
    metrics = read_lines(folder / run_folder.METRICS)
    if not metrics:
        again = f"Nothing trains there: vidmoco pretrain --run {shlex.quote(str(folder))} --resume"
        raise ConfigError(
            f"The run {folder} has no metrics yet: {run_folder.METRICS} gets its first line after "
            f"--engine.log-every steps. {'Try again then.' if is_held(folder) else again}"
        )
    text = config_file.read_text(encoding="utf-8", errors="replace")
    if not text.strip():
        raise ConfigError(
            f"{config_file} is empty, so the settings of the run are lost. The command that began "
            f"it is in {folder / run_folder.ENVIRONMENT}. Begin a new run with that command, and "
            "copy its config file here."
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
    """Return the lines of a metrics.jsonl, without an unfinished last line; none if it is missing.

    Raises:
        ConfigError: another line is damaged.
    """
    lines, damaged = _lines_of(path)
    if damaged:
        raise ConfigError(
            f"{path} is damaged in line {damaged[0]}: expected a JSON object with a step. "
            "Delete that line to see the others."
        )
    return lines


def _damage(damaged: list[int]) -> str:
    if not damaged:
        return ""
    what = f"line {damaged[0]}" if len(damaged) == 1 else f"{len(damaged)} lines"
    first = "" if len(damaged) == 1 else f", the first of them line {damaged[0]}"
    return f"{run_folder.MONITOR} is damaged in {what}{first}; its other lines are shown."


def _lines_of(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the readable lines of a file, and the numbers (from 1) of the damaged ones."""
    lines: list[dict[str, Any]] = []
    damaged: list[int] = []
    if not path.is_file():
        return lines, damaged
    for number, text in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if not text.endswith(b"\n"):
            break
        try:
            line = parse_json(text)
        except ValueError:
            line = None
        if isinstance(line, dict) and _number(line.get("step")) is not None:
            lines.append(line)
        else:
            damaged.append(number)
    return lines, damaged


def _json_of(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty dict if it cannot be read."""
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _number(value: Any) -> float | None:
    """Return ``value`` if it is a number, else None."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
