"""The state of a run, as its checkpoints hold it."""

import time
from pathlib import Path

import torch

import vidmoco
from vidmoco import distributed, run_folder
from vidmoco.backbones.build import save_backbone
from vidmoco.checkpoint import list_checkpoints, load_checkpoint, load_matching
from vidmoco.config.plain import to_plain
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import config_from_plain
from vidmoco.data.source import PairSource
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.methods.protocol import Method
from vidmoco.train.checkpoint_writer import CheckpointWriter
from vidmoco.train.metrics import MetricsLog


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint, the same in all processes, or None if there is none yet.

    The main process names it: a file server may show other machines the folder as it was a minute
    ago.
    """
    names = [path.name for path in list_checkpoints(folder)] or [""]
    name = distributed.gather_objects(names[-1])[0]
    return folder / name if name else None


def settings_of_checkpoint(run: Path) -> PretrainConfig | None:
    """Return the settings with which the newest checkpoint of a run was made.

    None if there is no checkpoint yet, or one of an earlier version, which has none.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    path = newest_checkpoint(run / run_folder.CHECKPOINTS)
    settings = load_checkpoint(path, mmap=True).get("settings") if path else None
    if settings is None:
        return None
    try:
        return config_from_plain(settings)
    except ConfigError as error:
        raise CheckpointError(f"The settings in {path} cannot be read: {error}") from error


class RunState:
    """Saves and loads the parts of a run that a resume needs."""

    def __init__(
        self,
        run: Path,
        method: Method,
        optimizer: torch.optim.Optimizer,
        augment_generator: torch.Generator,
        metrics: MetricsLog,
        settings: PretrainConfig,
    ) -> None:
        self.folder = run / run_folder.CHECKPOINTS
        self.config = settings
        self.method, self.optimizer, self.metrics = method, optimizer, metrics
        self.augment_generator = augment_generator
        self.writer = CheckpointWriter(self.folder, keep=settings.engine.keep_checkpoints)
        self._every = settings.engine.checkpoint_steps
        self._seconds = settings.engine.checkpoint_minutes * 60
        self._saved_at, self._saved_step = time.monotonic(), -1

    def is_due(self, step: int) -> bool:
        """Return whether this process thinks that it is time for a checkpoint of ``step``.

        Raises:
            ConfigError: the last one could not be written.
        """
        self.writer.check()
        if step in (0, self._saved_step):
            return False
        if self._every is not None:
            return step % self._every == 0
        # By the clock of the main process.
        return distributed.is_main() and time.monotonic() - self._saved_at >= self._seconds

    def save(self, step: int) -> None:
        """Begin to write the checkpoint of ``step``, in all processes, unless there is one.

        Raises:
            ConfigError: the last one could not be written.
            TrainingError: the loss is not finite.
        """
        self.metrics.require_finite()
        if step == self._saved_step:
            return
        metrics = self.metrics.state_dict()
        self._saved_at, self._saved_step = time.monotonic(), step
        if not distributed.is_main():
            return
        state = {
            "step": step,
            "settings": to_plain(self.config),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "augment_generator": self.augment_generator.get_state(),
            "torch_generator": torch.get_rng_state(),
            "metrics": metrics,
        }
        with distributed.ends_soon(f"saving step {step}"):
            self.writer.write(step, state)

    def load_newest(self) -> int:
        """Load the newest checkpoint and return its step, or 0 if there is none yet."""
        path = newest_checkpoint(self.folder)
        if path is None:
            self.metrics.load_state_dict({"sums": {}, "count": 0}, step=0)
            return 0
        state = load_checkpoint(path)
        load_matching(self.method, state["method"], source=path)
        self.optimizer.load_state_dict(state["optimizer"])
        self.augment_generator.set_state(state["augment_generator"])
        torch.set_rng_state(state["torch_generator"])
        self.metrics.load_state_dict(state["metrics"], step=state["step"])
        self._saved_step = int(state["step"])
        return self._saved_step

    def save_backbone(self, source: PairSource, *, step: int, total_steps: int) -> None:
        """Write the timm folder of the backbone as it is after ``step`` steps.

        Raises:
            ConfigError: it cannot be written.
        """
        run, config = self.folder.parent, self.config
        save_backbone(
            self.method.backbone,
            run / run_folder.BACKBONE,
            input_size=config.augment.size,
            provenance={
                "vidmoco_version": vidmoco.__version__,
                "method": config.method.name,
                "recipe": run_folder.recipe_of(run),
                "steps": step,
                "total_steps": total_steps,
                "num_videos": len(source.durations),
                "num_sources": len(source.sources),
                "seed": config.seed,
            },
            advice=run_folder.resume_advice(run),
        )
