"""Which settings of a run may change when it is resumed."""

import re
from dataclasses import replace
from pathlib import Path

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import changed_values
from vidmoco.errors import ConfigError


def has_checkpoint(run: Path | None) -> bool:
    """Return whether a run has settings and a checkpoint, so that it can go on."""
    return (
        run is not None
        and (run / "config.yaml").is_file()
        and any((run / "checkpoints").glob("step_*.pt"))
    )


# These settings do not change what a step computes.
_FREE = ("epochs:", "steps:", "engine.", "data.workers:", "data.decoder:", "limits.",
         "monitor.every_epochs:", "monitor.batch_size:", "monitor.max_gib:")  # fmt: skip


def changes_no_step(name: str) -> bool:
    """Return whether a setting, by its dotted name, decides neither what is learnt nor how long.

    The precision may change on a resume, but its steps are not the same to the last bit.
    """
    return f"{name}:".startswith(_FREE) and name not in ("epochs", "steps", "engine.precision")


def resumed_config(
    saved: PretrainConfig, given: PretrainConfig, *, run: Path, edited: str = ""
) -> PretrainConfig:
    """Return the settings with which ``run`` goes on.

    Args:
        saved: those of the run.
        given: those that are asked for. ``epochs`` of its own replace the run's ``steps``.
        run: the run folder.
        edited: the file that gives them, where that has been edited; else flags do.

    Raises:
        ConfigError: one differs that may not; the message names all of them.
    """
    if given.epochs != saved.epochs and given.steps == saved.steps:
        given = replace(given, steps=None)
    if changed := refused_changes(saved, given, run=run):
        restore = f"Restore them in {edited}" if edited else "Leave out these settings"
        raise ConfigError(
            "A run resumes with the settings it began with. Saved and given settings differ in "
            f"{'; '.join(changed)}. {restore}, or start a new run."
        )
    return given


def changed_settings(saved: PretrainConfig, given: PretrainConfig, *, run: Path) -> list[str]:
    """Return the settings that differ and may, as ``"key: before and now"``, without the length."""
    lines = _differing(saved, given, free=True, run=run)
    return [line for line in lines if not line.startswith(("epochs:", "steps:", "videos:"))]


def refused_changes(saved: PretrainConfig, given: PretrainConfig, *, run: Path) -> list[str]:
    """Return the settings that differ and may not, as ``"key: saved and given"``."""
    return _differing(saved, given, free=False, run=run)


def _differing(saved: PretrainConfig, given: PretrainConfig, *, free: bool, run: Path) -> list[str]:
    """Return the differences in settings that may change, or in those that may not."""
    prefixes = _free(saved, given, run)
    lines = [f"{key}: {a!r} and {b!r}" for key, (a, b) in changed_values(saved, given).items()]
    lines = [line for line in lines if line.startswith(prefixes) == free]
    if saved.method.name != given.method.name:  # the name covers its settings
        lines = [line for line in lines if not re.match(r"method\.(?!name:)", line)]
    return sorted(lines)


def _free(saved: PretrainConfig, given: PretrainConfig, run: Path) -> tuple[str, ...]:
    """Return prefixes of the settings that may change.

    They include all of a monitor that begins or ends with the resume. A monitor that continues must
    measure the same, so that its curve stays comparable. Videos, frames and images may have moved:
    the run holds what their content is, which tells whether they are the same.
    """
    monitored = [one.monitor.images is not None or one.monitor.retrieval for one in (saved, given)]
    known = any((run / name).exists() for name in ("catalog.parquet", "frames.json"))
    movable = ("videos:",) if known else ()
    return (*_FREE, *movable, *(() if all(monitored) else ("monitor.",)))
