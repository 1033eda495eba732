"""Which run folder a training writes to, and whether it begins there or goes on."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from rich.console import Console

from vidmoco import distributed, run_folder
from vidmoco.checkpoint import list_checkpoints, load_checkpoint
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.resume import has_checkpoint
from vidmoco.console import say
from vidmoco.errors import CheckpointError, ConfigError

Resume = bool | Literal["auto"]
_RESTARTS = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
_SECONDS_OF_LAST_START = 120.0
"""A file server may need a minute to see that the machine that held the lock is gone."""


@contextmanager
def started(
    run: Path | None, *, resume: Resume, recipe: str, console: Console
) -> Iterator[tuple[Path, bool]]:
    """Hold a run folder, and yield it and whether the run goes on from a checkpoint there.

    Args:
        run: None means ``runs/RECIPE-NUMBER``, or ``runs/latest`` to resume.
        resume: "auto" goes on where ``run`` has a checkpoint, and begins where it has none. What a
            start that got no further has left there is removed.
        recipe: names a new run.
        console: of the main process.

    Raises:
        ConfigError: the folder cannot be used.
        TrainingError: torchrun has restarted a run that does not resume.
    """
    if resume == "auto" and run is None:
        raise ConfigError("--resume auto looks for a checkpoint in a run folder. Give --run.")
    if not resume:
        distributed.require_first_start()
    if run is None and resume:
        run = run_folder.LATEST.resolve()
    if run is None:  # the main process names it, for all
        made = run_folder.new_run_folder(recipe) if distributed.is_main() else Path()
        run = distributed.gather_objects(made)[0]
    goes_on = bool(resume)
    with ExitStack() as stack:
        if distributed.is_main():
            restarted = any(os.environ.get(name, "0") != "0" for name in _RESTARTS)
            claim = run_folder.claimed(
                run, resume=bool(resume), patience=restarted * _SECONDS_OF_LAST_START
            )
            warning = stack.enter_context(claim)
            say(console, *[warning] * bool(warning))
            if resume == "auto":
                goes_on = has_checkpoint(run)
                if goes_on:
                    say(console, *_set_aside_damaged(run))
                else:
                    run_folder.clear_start(run)
            if not goes_on:
                stack.enter_context(run_folder.empty_on_failure(run))
        goes_on = distributed.gather_objects(goes_on)[0]
        yield run, goes_on


def has_nothing_to_do(run: Path, config: PretrainConfig, saved: PretrainConfig) -> bool:
    """Return whether a run is finished, and no longer training or other monitor is asked for."""
    asked, had = ((one.steps, one.epochs, one.monitor) for one in (config, saved))
    return asked == had and run_folder.is_finished(run)


def _set_aside_damaged(run: Path) -> list[str]:
    """Rename checkpoints that cannot be read, if an older one can. Return a line for each."""
    lines = []
    *older, newest = list_checkpoints(run / run_folder.CHECKPOINTS)
    while older:
        try:
            load_checkpoint(newest, mmap=True)
        except CheckpointError as error:
            if isinstance(error.__cause__, OSError | MemoryError):  # of the disk, not of the file
                raise
            newest.rename(newest.with_suffix(".damaged"))
            lines.append(f"{error} It is kept as {newest.stem}.damaged, and the run goes on there.")
            newest = older.pop()
        else:
            break
    return lines
