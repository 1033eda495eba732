"""Weights & Biases. Its own variables hold, such as ``WANDB_PROJECT``, ``WANDB_MODE=offline``."""

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import wandb
from PIL import Image

from vidmoco.config.plain import to_plain
from vidmoco.errors import ConfigError
from vidmoco.loggers.protocol import RunToLog


class WeightsAndBiases:
    """Goes on with the run's id. Offline files are in ``wandb/`` of the run: ``wandb sync``.

    ``WANDB_DIR`` is another folder for them. A server keeps the steps that it has, and gets the
    later ones. Offline files cannot go on, so every start writes them anew.
    """

    def __init__(self, run: RunToLog) -> None:
        """Begin.

        Raises:
            ConfigError: nobody is logged in, or a setting of wandb cannot be used.
        """
        settings = _settings()
        offline = settings.mode not in (None, "online", "shared")
        if not offline and not wandb.login(prompt=False):
            raise ConfigError("nobody is logged in: wandb login, or set WANDB_MODE=offline")
        name = run.note.setdefault("id", uuid.uuid4().hex[:8])
        folder = Path(os.environ.get("WANDB_DIR") or run.folder)
        folder.mkdir(parents=True, exist_ok=True)  # else wandb takes another, with a warning
        for old in (folder / "wandb").glob(f"offline-run-*-{name}"):
            shutil.rmtree(old)
        self._run = wandb.init(
            project=settings.project or "vidmoco",
            name=settings.run_name or run.folder.name,
            id=name,
            resume="allow",
            dir=str(folder),
            config=to_plain(run.config),
            allow_val_change=True,
            settings=wandb.Settings(console="off", silent=True),
        )
        self._first = self._run.step

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log scalars under their names at their step."""
        if step >= self._first:
            self._run.log(dict(values), step=step)

    def picture(self, image: Image.Image) -> None:
        """Put the picture into the summary as ``pairs``, which is not of a step."""
        self._run.summary["pairs"] = wandb.Image(image)

    def close(self, *, failed: bool) -> None:
        """Send the rest, and how the run has ended."""
        self._run.finish(exit_code=int(failed))


def _settings() -> wandb.Settings:
    """Return the settings of ``WANDB_…`` and of wandb's own files.

    Raises:
        ConfigError: one cannot be used.
    """
    try:
        return wandb.setup().settings
    except ValueError as error:
        if not hasattr(error, "errors"):
            raise
        first = error.errors()[0]  # of pydantic, whose message has many lines
        name = "_".join(map(str, first["loc"]))
        raise ConfigError(
            f"the setting {name} of wandb (WANDB_{name.upper()}) is {first['input']!r}: "
            f"{first['msg']}"
        ) from error
