"""The run folder: the files of a training.

runs/NAME/
  config.yaml        the resolved config, a recipe that reproduces the run
  environment.json   versions, machine, command
  catalog.parquet    the videos, and why videos are refused
  extensions.jsonl   one line per extension by --resume --steps, if any: step, steps_before, steps
  metrics.jsonl      one line every few steps
  monitor.jsonl      one line per measurement of the monitor: step, epoch, knn_top1, retrieval
                     (percent by distance in seconds) and seconds, or failure: why nothing could
                     be measured
  quarantine.jsonl   videos that killed a decoding process, if any (quarantine-1.jsonl … for the
                     further ranks)
  .vidmoco.lock      while a training writes to the folder
  loggers.json       what --log needs to find the run again in other tools, if it is given
  pairs.png          the first pairs, tensorboard/ and wandb/, if --log is given
  checkpoints/       to resume from
  backbone/          the timm folder
"""

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from vidmoco.atomic_file import atomic_write, remove, unique, writing
from vidmoco.errors import ConfigError
from vidmoco.json_text import read_json
from vidmoco.lock import LOCK, held
from vidmoco.urls import expanded, is_url

if TYPE_CHECKING:
    import torch

RUNS = Path("runs")
LATEST = RUNS / "latest"
CONFIG, CATALOG, METRICS = "config.yaml", "catalog.parquet", "metrics.jsonl"
MONITOR = "monitor.jsonl"
EXTENSIONS = "extensions.jsonl"
SHOTS = "shots.json"
FRAMES = "frames.json"  # in place of the catalog for a training from prepared frames
QUARANTINE = "quarantine.jsonl"
LOGGERS, PAIRS = "loggers.json", "pairs.png"
CHECKPOINTS, BACKBONE, ENVIRONMENT = "checkpoints", "backbone", "environment.json"
# How the names begin that a training gives, also to temporary files.
_OWN = (CONFIG, CATALOG, "metrics.", "monitor.", EXTENSIONS, SHOTS, FRAMES, "quarantine",
        CHECKPOINTS, BACKBONE, ENVIRONMENT, LOGGERS, PAIRS, "tensorboard", "wandb")  # fmt: skip
_LOGS = (".out", ".err", ".log")


def quarantine_of(run: Path, rank: int) -> Path:
    """Return the file of videos that killed decoding processes of a rank."""
    return run / (QUARANTINE if rank == 0 else f"quarantine-{rank}.jsonl")


@contextmanager
def claimed(run: Path, *, resume: bool, patience: float = 0.0) -> Iterator[str]:
    """Hold a run folder, so that no other training writes to it: a new one, or one to resume.

    A new folder in which nothing is written is removed. Another training is waited for ``patience``
    seconds.

    Yields:
        A warning that the disk has no locks, or an empty string.

    Raises:
        ConfigError: another training holds it, it cannot be written, or a new one is not empty.
    """
    busy = "Another training is writing to"
    make_writable_folder(run, flag="--run")
    with held(run, busy=busy, advice="or give another --run.", patience=patience) as reason:
        if not resume:
            require_empty(run)
        yield reason and (
            f"The disk of {run} has no locks ({reason}): see to it yourself that no other training "
            "writes there."
        )


def require_empty(run: Path, *, but: Sequence[Path] = ()) -> None:
    """Raise ``ConfigError`` if there is anything in a folder but the lock, and ``but``."""
    if run.is_dir() and any(path.name != LOCK and path not in but for path in run.iterdir()):
        raise ConfigError(
            f"The run folder {run} is not empty. Add --resume to continue it, or give another "
            "--run."
        )


def make_new_folder(candidates: Iterable[Path], *, flag: str) -> Path:
    """Make and return the first folder that does not exist, for this process alone.

    Raises:
        ConfigError: it cannot be made.
    """
    for folder in candidates:
        with writing(folder, advice=f", or give another {flag}."):
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    raise ValueError("no candidate is left")


def new_run_folder(recipe: str) -> Path:
    """Make ``runs/RECIPE-N`` with the first free N."""
    stem = Path(recipe).stem
    return make_new_folder((RUNS / f"{stem}-{n}" for n in count(1)), flag="--run")


def make_writable_folder(folder: Path, *, flag: str) -> None:
    """Make ``folder`` if it is missing; raise ``ConfigError`` if files cannot be written there."""
    _require_name(folder, flag=flag)
    _require_no_file(folder, flag=flag)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()  # has no name, so a killed process leaves nothing behind
    except OSError as error:
        raise ConfigError(
            f"Cannot write to {folder}: {error.strerror}. Give another {flag}."
        ) from error


def _require_name(path: Path, *, flag: str) -> None:
    """Refuse a name that torch and Arrow could not open again."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"The name {path} is not valid UTF-8. Give another {flag}.") from error


def _require_no_file(folder: Path, *, flag: str) -> None:
    """Refuse a folder where a file is, or below a file.

    Raises:
        ConfigError: there is one.
    """
    for place in (folder, *folder.parents):
        if os.path.isfile(place):  # noqa: PTH113 (Path's raises where nobody may look)
            raise ConfigError(f"{place} is a file, not a folder. Give another {flag}.")


def require_place(path: Path | None, *, flag: str, is_folder: bool = False) -> None:
    """Refuse a file, or what ``is_folder``, that cannot be written. Nothing is made.

    Raises:
        ConfigError: the nearest folder of it that exists takes no files, or is a file; or its name
            is not UTF-8. URLs are not looked up.
    """
    if path is None or is_url(path):
        return
    place = expanded(path)
    _require_name(place, flag=flag)
    _require_no_file(place if is_folder else place.parent, flag=flag)
    try:
        while not place.is_dir():
            place = place.parent
        TemporaryFile(dir=place).close()
    except OSError as error:
        raise ConfigError(
            f"Cannot write to {path}: {error.strerror}. Give another {flag}."
        ) from error


@contextmanager
def empty_on_failure(run: Path) -> Iterator[None]:
    """Empty a new run folder if the block fails before it has trained anything worth keeping.

    The same command can then begin again in it. What a run leaves is a line of metrics, a
    checkpoint, or a video that is not to be tried again.
    """
    try:
        yield
    except Exception:
        kept = (METRICS, CHECKPOINTS, QUARANTINE.removesuffix(".jsonl"))
        if not any(path.name.startswith(kept) for path in run.iterdir()):
            _remove_own(run)
        raise


def clear_start(run: Path) -> None:
    """Remove what a training left that has written no checkpoint yet, so that it can begin anew.

    Logs of a scheduler may be in the folder too.

    Raises:
        ConfigError: the folder holds something else, which is kept.
    """
    if (run / BACKBONE).exists() or any((run / CHECKPOINTS).glob("step_*.pt")):
        raise ConfigError(
            f"{run} holds a training that cannot go on: it has no {CONFIG} or no checkpoint. Give "
            "another --run."
        )
    others = [path for path in run.iterdir() if not path.name.startswith((*_OWN, "."))]
    if not (run / CONFIG).exists() and any(path.suffix not in _LOGS for path in others):
        raise ConfigError(f"The run folder {run} is not empty. Give another --run.")
    _remove_own(run)


def _remove_own(run: Path) -> None:
    for path in run.iterdir():
        if path.name.startswith(_OWN):
            remove(path)


def newest_step(run: Path) -> int:
    """Return the step of the newest checkpoint of a run, or 0 if there is none."""
    names = sorted(path.stem for path in (run / CHECKPOINTS).glob("step_*.pt"))
    return int(names[-1].removeprefix("step_")) if names else 0


def is_finished(run: Path) -> bool:
    """Return whether all steps of a run are taken and its backbone is of the last one.

    A run that was extended keeps its earlier backbone until it ends.
    """
    try:
        about = read_json(run / BACKBONE / "config.json")["vidmoco"]
        taken, total = int(about["steps"]), int(about["total_steps"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or one that is damaged
        return False
    return taken >= total and newest_step(run) <= taken


def resume_advice(run: Path) -> str:
    """Return how to resume a run that could not write, as the end of a sentence."""
    return f", then resume from the last checkpoint with --run {shlex.quote(str(run))} --resume."


def point_latest_at(run: Path) -> str:
    """Make ``runs/latest`` a link to ``run``. Return why it cannot be made, or an empty string.

    Nothing needs the link, so a run goes on without it, for example in a read-only folder.
    """
    part = LATEST.with_name(f"latest.{unique()}")
    try:
        RUNS.mkdir(exist_ok=True)
        part.symlink_to(os.path.relpath(run.resolve(), RUNS.resolve()))
        part.replace(LATEST)
    except OSError as error:
        remove(part)
        return f"{LATEST} does not lead to this run: {error.strerror}. Name the run by --run."
    return ""


def recipe_of(run: Path) -> str:
    """Return the recipe with which a run began, or an empty string."""
    try:
        return str(read_json(run / ENVIRONMENT).get("recipe", ""))
    except (OSError, ValueError, AttributeError):  # of an earlier version, or damaged
        return ""


def write_environment(path: Path, *, device: "torch.device", recipe: str) -> None:
    """Write what is needed to repeat a run on another machine, or to see why it differs."""
    import torch  # here: commands that only look at a run need none

    packages = ("vidmoco", "torch", "torchvision", "timm", "decord2", "av", "numpy", "pyarrow")
    is_cuda = device.type == "cuda"
    environment = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "recipe": recipe,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in packages},
        "device": torch.cuda.get_device_name(device) if is_cuda else "cpu",
        "cuda": torch.version.cuda if is_cuda else None,
        "cpu_threads": torch.get_num_threads(),
    }
    with atomic_write(path) as part:
        part.write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
