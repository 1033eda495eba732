"""The run folder: what a training leaves behind, and where.

runs/NAME/
  config.yaml        the resolved config; a recipe that reproduces the run
  environment.json   versions, machine, command
  catalog.parquet    the videos, refused ones with their reasons
  metrics.jsonl      one line every few steps
  monitor.jsonl      one line a measurement of the features, where a monitor was asked for: step,
                     epoch, knn_top1 and, by distance in seconds, retrieval (percent), seconds; or
                     failure, why nothing could be measured
  quarantine.jsonl   videos that killed a decoding process, if there were any (quarantine-1.jsonl …
                     of further processes of a training)
  checkpoints/       to resume from
  backbone/          the timm folder
"""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from vidmoco.errors import ConfigError

RUNS = Path("runs")
LATEST = RUNS / "latest"
CONFIG, CATALOG, METRICS = "config.yaml", "catalog.parquet", "metrics.jsonl"
MONITOR = "monitor.jsonl"
FRAMES = "frames.json"  # in place of the catalog, where the pairs are of prepared frames
QUARANTINE = "quarantine.jsonl"
CHECKPOINTS, BACKBONE, ENVIRONMENT = "checkpoints", "backbone", "environment.json"


def quarantine_of(run: Path, rank: int) -> Path:
    """Return the file of the videos that processes of one rank have died of."""
    return run / (QUARANTINE if rank == 0 else f"quarantine-{rank}.jsonl")


def new_run_name(recipe: str) -> Path:
    """Return ``runs/RECIPE-N`` with the first N that is free."""
    stem = Path(recipe).stem
    number = 1
    while (RUNS / f"{stem}-{number}").exists():
        number += 1
    return RUNS / f"{stem}-{number}"


def create_run_folder(run: Path) -> None:
    """Make an empty run folder.

    Raises:
        ConfigError: it cannot be written, or has something in it.
    """
    make_writable_folder(run, flag="--run")
    if any(run.iterdir()):
        raise ConfigError(
            f"The run folder {run} is not empty. Add --resume to go on with it, or give another "
            "--run."
        )


def make_writable_folder(folder: Path, *, flag: str) -> None:
    """Make ``folder`` if need be; raise ``ConfigError`` if files cannot be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".vidmoco-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"Cannot write to {folder}: {error.strerror}. Give another {flag}."
        ) from error


def remove_if_empty(run: Path) -> None:
    """Remove a run folder in which nothing has been written yet."""
    if run.is_dir() and not any(run.iterdir()):
        run.rmdir()


def point_latest_at(run: Path) -> None:
    """Make ``runs/latest`` a link to ``run``, in the current folder."""
    RUNS.mkdir(exist_ok=True)
    part = LATEST.with_name(f"latest.{os.getpid()}")
    part.unlink(missing_ok=True)
    part.symlink_to(os.path.relpath(run.resolve(), RUNS.resolve()))
    part.replace(LATEST)


def write_environment(path: Path, *, device: torch.device) -> None:
    """Write what one needs to repeat a run on another machine, or to know why it differs."""
    packages = ("vidmoco", "torch", "torchvision", "timm", "decord2", "av", "numpy", "pyarrow")
    is_cuda = device.type == "cuda"
    environment = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in packages},
        "device": torch.cuda.get_device_name(device) if is_cuda else "cpu",
        "cuda": torch.version.cuda if is_cuda else None,
        "cpu_threads": torch.get_num_threads(),
    }
    path.write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
