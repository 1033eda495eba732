"""``--resume`` on the command line, and the run folder that is meant."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from vidmoco.errors import ConfigError
from vidmoco.run_folder import BACKBONE, CHECKPOINTS, CONFIG, ENVIRONMENT, LATEST, METRICS
from vidmoco.urls import expanded

_VALUES = ("no", "yes", "auto")


def with_resume(words: Sequence[str]) -> list[str]:
    """Return the words with a value for ``--resume``, which may be given without one.

    Raises:
        ConfigError: a run folder is named where other tools have it, or another value is given.
    """
    found, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        if word == "--resume":
            word += f"={rest.pop(0) if rest[:1] == ['auto'] else 'yes'}"
        found.append(word)
    asked = [word.partition("=")[2] for word in found if word.startswith("--resume=")]
    for value in asked:
        if value not in _VALUES:
            _refuse_run(value)
            raise ConfigError(
                f"--resume={value}: it takes nothing or auto, and --run names the run. Give "
                "--run RUN --resume."
            )
    if set(asked) & {"yes", "auto"}:
        # What follows another flag is mostly its value, such as that of --run.
        for before, word in zip(["", *found], found, strict=False):
            follows = before.startswith("-") and "=" not in before
            if not follows and not word.startswith("-"):
                _refuse_run(word)
    return found


def _refuse_run(word: str) -> None:
    """Refuse a run folder, or what is in one, in place of videos."""
    path = expanded(Path(word))
    run = _run_of(path)
    if run is None:
        return
    what = "is a run folder" if run == path else f"is of the run {run}"
    raise ConfigError(f"{word} {what}: vidmoco pretrain --run {shlex.quote(str(run))} --resume")


def _run_of(path: Path) -> Path | None:
    """Return the run folder that a path is, or is in, or None."""
    run = path
    for place in (path, path.parent):
        if place.name in (CHECKPOINTS, BACKBONE):
            run = place.parent
    parts = (CHECKPOINTS, METRICS, ENVIRONMENT)
    is_run = (run / CONFIG).is_file() and any((run / part).exists() for part in parts)
    return run if is_run else None


def run_config(run: str | Path | None) -> Path:
    """Return the config file of the run to resume; None means ``runs/latest``.

    Raises:
        ConfigError: the run has no config file.
    """
    folder = Path(run or LATEST)
    config = folder / CONFIG
    if config.is_file():
        return config
    advice = "" if run else " Give --run."
    for parent in (_run_of(folder), folder.parent):
        if parent is not None and (parent / CONFIG).is_file():
            advice = f" Its run is {parent}: --run {shlex.quote(str(parent))}"
            break
    raise ConfigError(f"There is no run to resume at {folder}: it has no {CONFIG}.{advice}")
