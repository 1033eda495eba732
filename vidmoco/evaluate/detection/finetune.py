"""Run a detection transfer, from its settings to its results."""

import math
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from torch import nn

from vidmoco import distributed, run_folder
from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.config.detection import DetectionCommand
from vidmoco.console import say
from vidmoco.device import autocast, resolve_device
from vidmoco.distributed import on_all_ranks
from vidmoco.errors import ConfigError, DataError
from vidmoco.evaluate.candidates import load_candidates
from vidmoco.evaluate.detection.annotations import AnnotatedImage, DetectionSet
from vidmoco.evaluate.detection.average_precision import average_precision, require_pycocotools
from vidmoco.evaluate.detection.batches import (
    Read,
    read_batches,
    rows_of_step,
    seed_step,
    training_inputs,
)
from vidmoco.evaluate.detection.detector import build_detector, prepare_norms, set_training
from vidmoco.evaluate.detection.image_files import require_usable
from vidmoco.evaluate.detection.load import load_sets
from vidmoco.evaluate.detection.results import described_results
from vidmoco.evaluate.detection.resume import clear_start, load_transfer, save_transfer
from vidmoco.evaluate.detection.training import build_optimizer, detect, measure_norms, train_step
from vidmoco.evaluate.results import write_results
from vidmoco.interrupt import StopSignals
from vidmoco.json_lines import append_line
from vidmoco.optim.schedule import learning_rate

RESULTS = "results.json"
_WARMUP_START = 1 / 1000  # detectron2's WARMUP_FACTOR


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of a transfer."""

    results: dict[str, Any] | None
    """None if the transfer was stopped, or if this is not the main process."""
    step: int
    exit_code: int


def finetune_detection(settings: DetectionCommand, *, console: Console) -> Outcome:
    """Train a detector from a backbone, evaluate it, and write ``results.json`` in the run folder.

    Raises:
        ConfigError: a setting cannot be used.
        DataError: annotations or images cannot be used.
        CheckpointError: a backbone or checkpoint cannot be loaded.
        TrainingError: the loss is not finite.
    """
    require_pycocotools()
    with distributed.processes_from_environment(resolve_device(settings.device)) as device:
        if settings.batch_size % distributed.world_size():
            raise ConfigError(
                f"--batch-size is {settings.batch_size}, which {distributed.world_size()} "
                "processes cannot share evenly."
            )
        train, val = load_sets(settings.train, settings.val)
        require_usable(train.images, flag="--train")
        require_usable(val.images, flag="--val")
        with ExitStack() as stack:
            if distributed.is_main():
                claim = run_folder.claimed(settings.run, resume=True)
                warning = stack.enter_context(claim)
                say(console, *[warning] * bool(warning))
                if not settings.resume:
                    clear_start(settings.run)
                    stack.enter_context(run_folder.empty_on_failure(settings.run))
            return _Transfer(settings, train, val, device=device, console=console).run()


class _Transfer:
    """The state of a transfer: settings, data, detector, optimiser, and the step."""

    def __init__(
        self,
        settings: DetectionCommand,
        train: DetectionSet,
        val: DetectionSet,
        *,
        device: torch.device,
        console: Console,
    ) -> None:
        self.settings, self.train, self.val = settings, train, val
        self.device, self.console, self.step = device, console, 0
        self.images = train.trainable(difficult=settings.train_difficult)
        (self.candidate,) = load_candidates([settings.backbone], seed=settings.seed)
        torch.manual_seed(settings.seed)  # for the new layers
        model = _build(settings, self.candidate, num_classes=len(train.classes)).to(device)
        self.model = prepare_norms(model, settings.norm)
        self.optimizer = build_optimizer(
            self.model, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
        if settings.resume:
            self.step = load_transfer(
                settings,
                model=self.model,
                optimizer=self.optimizer,
                classes=train.classes,
                weights_hash=self.candidate.weights_hash,
            )
            return
        with distributed.main_first():
            if distributed.is_main():
                environment = settings.run / run_folder.ENVIRONMENT
                run_folder.write_environment(environment, device=device, recipe="")

    def run(self) -> Outcome:
        """Train, recompute batch norm statistics, evaluate."""
        self._say(
            f"{self.settings.run}: steps {self.step} to {self.settings.iterations} on "
            f"{distributed.world_size()} x {self.device.type}; {len(self.images)} images to train "
            f"on, {len(self.val.images)} to evaluate on, {len(self.val.classes)} classes"
        )
        try:
            return self._run()
        except DataError as error:
            if not self.step:
                raise
            raise DataError(
                f"{error} The same command with --resume goes on after step {self.step}."
            ) from error

    def _run(self) -> Outcome:
        with StopSignals() as stop:
            self._train(stop)
            if self.step < self.settings.iterations:
                name = stop.received.name if stop.received else "another process"
                self._say(f"Stopped by {name} after step {self.step}. Continue with --resume.")
                return Outcome(results=None, step=self.step, exit_code=stop.exit_code or 1)
        if self.settings.norm != "frozen" and self.settings.precise_bn:
            one_epoch = math.ceil(len(self.images) / self.settings.batch_size)
            count = min(self.settings.precise_bn, one_epoch)
            steps = range(self.step, self.step + count)
            self._say(f"measuring batch norms over {len(steps)} batches …")
            set_training(self.model, frozen_norms=False)
            inputs = (
                self._inputs(step, read)
                for step, read in zip(steps, self._batches(steps), strict=True)
            )
            measure_norms(self.model, inputs, cast=self._cast())
        self._say(f"evaluating {len(self.val.images)} images …")
        own = [self.val.images[row] for row in distributed.shard(len(self.val.images))]
        found = detect(self.model.eval(), own, device=self.device, cast=self._cast())
        gathered = [one for part in distributed.gather_objects(found) for one in part]
        if not distributed.is_main():
            return Outcome(results=None, step=self.step, exit_code=0)
        scores = average_precision(self.val.images, gathered, num_classes=len(self.val.classes))
        results = described_results(
            self.settings,
            self.candidate,
            train=self.train,
            val=self.val,
            trained_on=self.images,
            scores=scores,
        )
        write_results(self.settings.run / RESULTS, results)
        return Outcome(results=results, step=self.step, exit_code=0)

    def _train(self, stop: StopSignals) -> None:
        settings = self.settings
        trained = on_all_ranks(self.model, self.device)
        set_training(self.model, frozen_norms=settings.norm == "frozen")
        sums: dict[str, float] = defaultdict(float)
        count, began = 0, time.monotonic()
        with closing(self._batches(range(self.step, settings.iterations))) as batches:
            while self.step < settings.iterations:
                read, problem = _next(batches)
                if distributed.any_of(stop.received is not None or problem is not None):
                    if self.step or problem is None:
                        self._save()
                    if problem is not None:
                        raise problem
                    return
                images, targets = self._inputs(self.step, read)
                lr = self._learning_rate()
                values = train_step(
                    trained, self.optimizer, images, targets, lr=lr, cast=self._cast()
                )
                for name, value in values.items():
                    sums[name] += value
                self.step, count = self.step + 1, count + 1
                is_last = self.step == settings.iterations
                if is_last or self.step % settings.log_every == 0:
                    rate = count * settings.batch_size / (time.monotonic() - began)
                    self._log({name: total / count for name, total in sums.items()}, lr, rate)
                    sums.clear()
                    count, began = 0, time.monotonic()
                if is_last or self.step % settings.checkpoint_every == 0:
                    self._save()

    def _batches(self, steps: range) -> Generator[Read]:
        """Yield this process's images of each step."""

        def chosen(step: int) -> list[AnnotatedImage]:
            rows = rows_of_step(
                step,
                batch_size=self.settings.batch_size,
                num_images=len(self.images),
                seed=self.settings.seed,
            )
            return [self.images[row] for row in rows]

        return read_batches(chosen(step) for step in steps)

    def _inputs(self, step: int, read: Read) -> tuple[list[torch.Tensor], list[Any]]:
        seed_step(self.settings.seed, step, distributed.rank())
        return training_inputs(read, self.device)

    def _learning_rate(self) -> float:
        settings = self.settings
        return learning_rate(
            self.step,
            total_steps=settings.iterations,
            steps_per_epoch=1,
            base_lr=settings.lr,
            schedule="step",
            milestones=[step / settings.iterations for step in settings.lr_steps],
            warmup_epochs=settings.warmup,
            warmup_start=_WARMUP_START,
            update_every="step",
        )

    def _cast(self) -> Any:
        return autocast(self.device, self.settings.precision)

    def _say(self, text: str) -> None:
        if distributed.is_main():
            say(self.console, text)

    def _log(self, means: dict[str, float], lr: float, rate: float) -> None:
        """Write a line of metrics with the losses of the main process."""
        if not distributed.is_main():
            return
        line = {"step": self.step, "lr": lr, **means, "images_per_second": round(rate, 2)}
        append_line(self.settings.run / run_folder.METRICS, line)
        self._say(
            f"step {self.step}/{self.settings.iterations}  loss {means['loss']:.4f}  lr {lr:.3g}  "
            f"{rate:.1f} images/s"
        )

    def _save(self) -> None:
        save_transfer(
            self.settings,
            step=self.step,
            model=self.model,
            optimizer=self.optimizer,
            classes=self.train.classes,
            weights_hash=self.candidate.weights_hash,
        )


def _next(batches: Generator[Read]) -> tuple[Read, DataError | None]:
    """Return the next batch, or an empty one and why it cannot be read."""
    try:
        return next(batches), None
    except DataError as error:
        return [], error


def _build(settings: DetectionCommand, candidate: FrozenBackbone, *, num_classes: int) -> nn.Module:
    return build_detector(
        candidate.backbone,
        name=candidate.source,
        kind=settings.detector,
        num_classes=num_classes,
        preprocess=candidate.preprocess,
        short_sides=settings.short_sides,
        max_side=settings.max_side,
        rois_per_image=settings.rois_per_image,
        proposals=settings.proposals,
        new_norms=settings.norm != "frozen",
    )
