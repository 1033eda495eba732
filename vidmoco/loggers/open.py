"""Open the loggers of a run, and keep their failures from the training."""

import json
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from vidmoco import distributed, run_folder
from vidmoco.atomic_file import atomic_write
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.console import say
from vidmoco.errors import ConfigError
from vidmoco.json_lines import read_metrics
from vidmoco.json_text import read_json
from vidmoco.loggers.protocol import Logger, RunToLog, scalars_of, scalars_of_monitor
from vidmoco.urls import without_passwords

_CLASSES = {"tensorboard": "TensorBoard", "wandb": "WeightsAndBiases", "mlflow": "MLflow"}


OnLog = Callable[[dict[str, Any]], object]
"""A function of the caller, which gets each new line of metrics.jsonl."""


class Loggers:
    """The loggers of a run. One that fails costs a line and is left out from then on."""

    def __init__(self, loggers: Mapping[str, Logger], picture: Path, console: Console) -> None:
        self._loggers, self._picture, self._console = dict(loggers), picture, console
        self._may_draw = True
        self.on_log: OnLog | None = None
        self.failure: BaseException | None = None
        """What ``on_log`` raised: the training is to end with it. It is not called again."""

    @property
    def wants_picture(self) -> bool:
        """Whether there are loggers, and the first pairs are not drawn yet."""
        return self._may_draw and bool(self._loggers) and not self._picture.exists()

    def metrics(self, line: Mapping[str, Any]) -> None:
        """Show a line of metrics.jsonl."""
        self._each(lambda logger: logger.scalars(line["step"], scalars_of(line)))
        if self.on_log is None or self.failure is not None:
            return
        try:
            self.on_log(dict(line))
        except (Exception, SystemExit) as error:
            self.failure = error

    def monitor(self, line: Mapping[str, Any]) -> None:
        """Show a line of monitor.jsonl."""
        if values := scalars_of_monitor(line):
            self._each(lambda logger: logger.scalars(line["step"], values))

    def picture(self, draw: Callable[[], Image.Image]) -> None:
        """Draw and show the first pairs, and keep the picture for a start that goes on."""
        self._may_draw = False  # once, also if it fails
        try:
            image = draw()
            with atomic_write(self._picture) as part:
                image.save(part, format="PNG")
        except Exception as error:  # whatever it is, the training is worth more
            say(self._console, f"The training goes on without {run_folder.PAIRS}: {_reason(error)}")
            return
        self._each(lambda logger: logger.picture(image))

    def show_picture(self) -> None:
        """Show the picture of an earlier start, if there is one."""
        if not self._picture.exists():
            return
        try:
            with Image.open(self._picture) as image:
                image.load()
        except (OSError, ValueError):  # damaged: it is drawn again
            self._picture.unlink()
            return
        self._each(lambda logger: logger.picture(image))

    def __enter__(self) -> "Loggers":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._each(lambda logger: logger.close(failed=kind is not None))
        self._loggers.clear()

    def _each(self, act: Callable[[Logger], None]) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                act(logger)
            except Exception as error:  # whatever it is, the training is worth more
                del self._loggers[name]
                say(self._console, f"The training goes on without {name}: {_reason(error)}")


def open_loggers(
    run: Path,
    config: PretrainConfig,
    *,
    step: int,
    console: Console,
    on_log: OnLog | None = None,
) -> Loggers:
    """Open ``config.engine.log`` for a run that has taken ``step`` steps, and show its lines.

    ``on_log`` gets the lines that come. Only the main process has loggers, and calls it.

    Raises:
        ConfigError: one is not installed, or refuses.
    """
    names = config.engine.log if distributed.is_main() else ()
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(
                f"--log {name} needs a package that is not installed: pip install "
                f"'vidmoco[{name}]'. Or leave out {name}."
            )
    opened: dict[str, Logger] = {}
    path = run / run_folder.LOGGERS
    notes = _notes(path)
    for name in names:
        note = notes.setdefault(name, {})
        try:
            made = getattr(import_module(f"vidmoco.loggers.{name}"), _CLASSES[name])
            opened[name] = made(RunToLog(run, config, note))
        except Exception as error:
            with Loggers(opened, path, console):
                raise ConfigError(
                    f"--log {name} cannot begin: {_reason(error)}. Fix that, or leave out {name}."
                ) from error
    if names:
        with atomic_write(path) as part:
            part.write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")
    loggers = Loggers(opened, run / run_folder.PAIRS, console)
    for line, show in _history(run, step, loggers) if names else ():
        show(line)
    loggers.show_picture()
    loggers.on_log = on_log if distributed.is_main() else None
    return loggers


def _notes(path: Path) -> dict[str, Any]:
    """Return what loggers have noted of a run, or nothing: then they begin anew."""
    try:
        found = read_json(path)
    except (OSError, ValueError):  # there is none, or it is damaged
        return {}
    return found if isinstance(found, dict) else {}


def _history(
    run: Path, step: int, loggers: Loggers
) -> Iterable[tuple[dict[str, Any], Callable[[Mapping[str, Any]], None]]]:
    """Return the lines of both files up to ``step`` in the order of their steps."""
    files = {run_folder.METRICS: loggers.metrics, run_folder.MONITOR: loggers.monitor}
    lines = [
        (line, show)
        for name, show in files.items()
        for line in read_metrics(run / name)
        if line["step"] <= step
    ]
    return sorted(lines, key=lambda one: one[0]["step"])


def _reason(error: Exception) -> str:
    """Return the first line of an error."""
    lines = str(error).strip().splitlines()
    return without_passwords(lines[0] if lines else type(error).__name__).rstrip(".")
