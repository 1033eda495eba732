"""How many steps a run takes, also if it has been extended, and their learning rates."""

from dataclasses import dataclass
from pathlib import Path

from vidmoco import run_folder
from vidmoco.atomic_file import atomic_write
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import dump_recipe, load_recipe
from vidmoco.errors import ConfigError
from vidmoco.json_lines import append_line, read_metrics
from vidmoco.optim.schedule import learning_rate, scaled_learning_rate


@dataclass(frozen=True)
class Extension:
    """From ``step`` on the run takes ``steps`` steps in all; up to it, ``steps_before``."""

    step: int
    steps_before: int
    steps: int


@dataclass(frozen=True)
class Length:
    """Number of steps of a run, and the extensions that led to it, oldest first."""

    total: int
    extensions: tuple[Extension, ...] = ()
    is_new: bool = False
    """Whether the last extension is yet to be saved."""

    def at(self, step: int) -> int:
        """Return the total that the schedules of ``step`` count with."""
        return next((one.steps_before for one in self.extensions if step < one.step), self.total)

    def of_rate(self, step: int, config: PretrainConfig) -> int:
        """Return the total that the learning rate of ``step`` counts with.

        Milestones are fractions of the length that the run began with: an extension does not move
        them.
        """
        return self.at(-1 if config.optim.schedule == "step" else step)

    def save(self, run: Path, config: PretrainConfig) -> str:
        """Write what has changed with a resume, such as the length, to a run's ``config.yaml``.

        Return a line on the length, or "".

        Raises:
            ConfigError: a file cannot be written.
        """
        path = run / run_folder.CONFIG
        if not self.is_new and config == load_recipe(str(path)):
            return ""
        for one in self.extensions[-1:] if self.is_new else ():
            append_line(run / run_folder.EXTENSIONS, vars(one))
        with atomic_write(path, advice=run_folder.resume_advice(run)) as part:
            part.write_text(dump_recipe(config), encoding="utf-8")
        steps_before = self.extensions[-1].steps_before if self.is_new and self.extensions else 0
        rate = (
            f"the learning rate goes on along the cosine over {self.total} steps"
            if config.optim.schedule == "cosine"
            else "the milestones of the learning rate stay at their steps"
        )
        text = f"The run now takes {self.total} steps in place of {steps_before}: {rate}."
        return text * bool(steps_before)


def plan_length(
    config: PretrainConfig,
    num_steps_per_epoch: int,
    *,
    resume: Path | None,
    saved: PretrainConfig | None = None,
) -> Length:
    """Return the length of a run that begins, or of the run ``resume`` that goes on.

    ``saved`` are the settings of its newest checkpoint; None means those of its ``config.yaml``.

    Raises:
        ConfigError: the run has already done more steps.
    """
    total = _steps(config, num_steps_per_epoch)
    if resume is None:
        return Length(total)
    done = run_folder.newest_step(resume)
    if total < done:
        flag = "--epochs" if config.steps is None else "--steps"
        raise ConfigError(
            f"{flag} gives {total} steps, but {resume} has already done {done}. Give at least as "
            "many, or start a new run."
        )
    saved = saved or load_recipe(str(resume / run_folder.CONFIG))
    steps = _steps(saved, num_steps_per_epoch)
    before = Length(steps, _extensions(resume, steps))
    if total == steps:
        return before
    if not done:
        return Length(total, is_new=True)
    kept = tuple(one for one in before.extensions if one.step < done)
    new = Extension(done, before.at(done - 1), total)
    return Length(total, (*kept, new), is_new=True)


def learning_rate_of(
    config: PretrainConfig, step: int, total_steps: int, num_steps_per_epoch: int
) -> float:
    """Return the learning rate of a step."""
    return learning_rate(
        step,
        total_steps=total_steps,
        steps_per_epoch=num_steps_per_epoch,
        base_lr=scaled_learning_rate(
            config.optim.lr, batch_size=config.data.batch_size, scale=config.optim.scale_lr
        ),
        schedule=config.optim.schedule,
        milestones=config.optim.milestones,
        warmup_epochs=config.optim.warmup_epochs,
        warmup_start=config.optim.warmup_start,
        update_every=config.optim.update_every,
    )


def _steps(config: PretrainConfig, num_steps_per_epoch: int) -> int:
    return config.steps or max(1, round(config.epochs * num_steps_per_epoch))


def _extensions(run: Path, total: int) -> tuple[Extension, ...]:
    """Return the extensions that led to ``total`` steps, oldest first.

    A line whose length is not in ``config.yaml`` never came into force, or a later extension from
    an earlier checkpoint took its place.
    """
    found: list[Extension] = []
    for line in reversed(read_metrics(run / run_folder.EXTENSIONS)):
        values = [line.get(name) for name in ("step", "steps_before", "steps")]
        if not all(type(value) is int for value in values):  # it is damaged
            continue
        one = Extension(*values)
        if one.steps == total and (not found or one.step < found[0].step):
            found.insert(0, one)
            total = one.steps_before
    return tuple(found)
