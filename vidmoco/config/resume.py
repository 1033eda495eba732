"""Which settings of a run may change when it is resumed."""

import re
from dataclasses import replace
from pathlib import Path

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import differences, to_plain
from vidmoco.errors import ConfigError

# These settings do not change what a step computes.
_FREE = ("epochs:", "steps:", "engine.", "data.workers:", "data.decoder:", "limits.",
         "monitor.every_epochs:", "monitor.batch_size:", "monitor.max_gib:")  # fmt: skip


def resumed_config(saved: PretrainConfig, given: PretrainConfig, *, run: Path) -> PretrainConfig:
    """Return the settings with which ``run`` goes on.

    Args:
        saved: those of the run.
        given: those that are asked for. ``epochs`` of its own replace the run's ``steps``.
        run: the run folder.

    Raises:
        ConfigError: one differs that may not; the message names all of them.
    """
    if given.epochs != saved.epochs and given.steps == saved.steps:
        given = replace(given, steps=None)
    if changed := changed_settings(saved, given, run=run):
        raise ConfigError(
            "A run resumes with the settings it began with. Saved and given settings differ in "
            f"{'; '.join(changed)}. Leave out these settings, or start a new run."
        )
    return given


def changed_settings(saved: PretrainConfig, given: PretrainConfig, *, run: Path) -> list[str]:
    """Return ``"key: saved and given"`` for each setting of ``run`` that differs and may not."""
    lines = differences(to_plain(saved), to_plain(given))
    changed = [line for line in lines if not line.startswith(_free(saved, given, run))]
    if saved.method.name != given.method.name:  # the name covers its settings
        changed = [line for line in changed if not re.match(r"method\.(?!name:)", line)]
    return sorted(changed)


def _free(saved: PretrainConfig, given: PretrainConfig, run: Path) -> tuple[str, ...]:
    """Return prefixes of the settings that may change.

    They include all of a monitor that begins or ends with the resume. A monitor that continues must
    measure the same, so that its curve stays comparable. Prepared frames may have moved: the run
    holds their key, which tells whether they are the same.
    """
    monitored = [one.monitor.images is not None or one.monitor.retrieval for one in (saved, given)]
    movable = ("videos:",) if (run / "frames.json").exists() else ()
    return (*_FREE, *movable, *(() if all(monitored) else ("monitor.",)))
