"""How a training ended: with its last step, or with a stop and how to go on."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from vidmoco.console import say
from vidmoco.interrupt import StopSignals
from vidmoco.loggers.open import Loggers
from vidmoco.train.first_screen import last_screen


@dataclass(frozen=True)
class PretrainResult:
    """What is left of a training."""

    run: Path
    step: int
    """The number of steps taken."""
    exit_code: int
    """0, or that of the signal that stopped it."""
    interrupt: KeyboardInterrupt | None = None
    """What a call from Python raises, so that its program stops too. None: nothing stopped it."""


def outcome(
    run: Path,
    step: int,
    total_steps: int,
    *,
    stop: StopSignals,
    loggers: Loggers,
    console: Console,
) -> PretrainResult:
    """Say how a training ended, whose checkpoint and backbone are written.

    Args:
        run: the run folder.
        step: the number of steps taken.
        total_steps: the number of steps of the run.
        stop: the signal that came, if any.
        loggers: with what ``on_log`` raised, if anything.
        console: of the main process.

    Raises:
        Exception: what ``on_log`` raised.
    """
    goes_on = f"vidmoco.pretrain(run={str(run)!r}, resume=True)"
    if step == total_steps:
        say(console, *last_screen(run))
        text = f"{run} is finished: its {step:,} steps are taken."
    else:
        by = stop.received.name if stop.received else "another process"
        text = (
            f"Stopped by {'on_log' if loggers.failure else by} after step {step} of {total_steps}."
        )
        command = f"vidmoco pretrain --run {shlex.quote(str(run))} --resume"
        say(console, f"{text} Continue with: {command}")
        text += f" Continue with {goes_on}."
    if loggers.failure is not None:
        loggers.failure.add_note(text)
        raise loggers.failure
    if step == total_steps:  # a signal in the last step ends the caller's program, not the run
        return PretrainResult(run, step, 0, stop.interrupt(text) if stop.received else None)
    return PretrainResult(run, step, stop.exit_code, stop.interrupt(text))
