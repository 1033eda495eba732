"""Pretraining: from videos and a config to a run folder. ``pretrain`` reads from top to bottom."""

import time
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

import vidmoco
from vidmoco import run_folder
from vidmoco.augment import Augment, build_augment
from vidmoco.backbones import (
    build_backbone,
    num_features_of,
    save_backbone,
    strided_at_one_pixel,
)
from vidmoco.checkpoint import list_checkpoints, load_checkpoint, load_matching, save_checkpoint
from vidmoco.config import PretrainConfig
from vidmoco.device import autocast, resolve_device, to_device, to_device_ahead, use_threads
from vidmoco.diagnostics import collapse_of, describe_embeddings
from vidmoco.errors import ConfigError, VidmocoError
from vidmoco.interrupt import StopSignals
from vidmoco.method_config import FastMoCoConfig, MoCoConfig
from vidmoco.methods.build import Method, build_method
from vidmoco.metrics import MetricsLog, require_finite
from vidmoco.optim import build_optimizer, set_learning_rate
from vidmoco.pairs import PairSource, open_source
from vidmoco.progress import TrainingProgress
from vidmoco.recipe import dump_recipe
from vidmoco.schedule import learning_rate, scaled_learning_rate
from vidmoco.video.batches import PairBatch

MAX_FAILURES_LISTED = 50
WARN_AFTER = 0.1  # of the training: an untrained network looks much like a collapsed one


@dataclass(frozen=True)
class PretrainResult:
    """Where a run is, how far it got, and the exit code (0; 130 or 143 when stopped)."""

    run: Path
    step: int
    exit_code: int


def pretrain(
    config: PretrainConfig,
    *,
    run: Path,
    resume: bool = False,
    recipe: str = "",
    console: Console | None = None,
) -> PretrainResult:
    """Train as ``config`` says and leave everything in the folder ``run``.

    SIGINT and SIGTERM end the run after a step, with a checkpoint. ``resume`` goes on from the
    newest one, to the same numbers as if the run had never stopped (on the CPU, bit for bit).

    Raises:
        ConfigError: something asked for cannot be used.
        CheckpointError: there is no checkpoint to resume from that can be read.
        TrainingError: the loss is not finite.
        VideoError: too many videos in a row cannot be read.
    """
    console = console or Console(stderr=True)
    device = resolve_device(config.engine.device)
    if not resume:
        run_folder.create_run_folder(run)
    torch.manual_seed(config.seed)
    try:  # all that may be wrong with what was asked for, before anything is written
        source = open_source(
            config,
            resume=run if resume else None,
            console=console,
            quarantine=run / run_folder.QUARANTINE,
        )
        batching = source.batching()
        use_threads(device, config.engine.threads, beside_decoders=source.decodes)
        method = _build_method(config, device=device, num_videos=batching.num_videos).to(device)
    except VidmocoError:
        run_folder.remove_if_empty(run)
        raise
    num_steps_per_epoch = batching.batches_per_epoch
    total_steps = config.steps or max(1, round(config.epochs * num_steps_per_epoch))
    optimizer = build_optimizer(method.named_parameters(), config.optim)
    augment = build_augment(config.augment)
    augment_generator = torch.Generator().manual_seed(config.seed)
    metrics = MetricsLog(
        run / run_folder.METRICS,
        log_every=config.engine.log_every,
        batch_size=config.data.batch_size,
        total_steps=total_steps,
    )
    state = _RunState(run, method, optimizer, augment_generator, metrics)
    start_step = state.load_newest() if resume else 0
    if not resume:
        source.save(run)
        text = dump_recipe(config)
        (run / run_folder.CONFIG).write_text(text, encoding="utf-8")
        run_folder.write_environment(run / run_folder.ENVIRONMENT, device=device)
        console.print(text, markup=False, highlight=False, style="dim", end="")
    run_folder.point_latest_at(run)
    console.print(
        f"{run}: steps {start_step} to {total_steps} on {device}, {num_steps_per_epoch} an epoch, "
        f"{batching.num_videos} videos, {source.memory_bytes(batching) / 2**30:.2g} GiB for their "
        "frames",
        markup=False,
        soft_wrap=True,
    )
    if warning := _queue_warning(config, batching.num_videos):
        console.print(warning, markup=False, soft_wrap=True)
    if config.engine.compile:
        _compile_encoders(method, cuda_graphs=config.engine.cuda_graphs)

    stop = StopSignals()
    batches = source.batches(
        batching,
        range(start_step, total_steps),
        pin_memory=device.type == "cuda",
        stopped=lambda: stop.received is not None,
    )
    failures: dict[int, str] = {}
    warned = False
    last_saved = time.monotonic()
    bar = TrainingProgress(console, total_steps=total_steps, start_step=start_step, recipe=recipe)
    step = start_step
    with stop, bar, closing(batches):
        while step < total_steps and not stop.received:
            lr = _learning_rate(config, step, total_steps, num_steps_per_epoch)
            set_learning_rate(optimizer, lr)
            began = time.monotonic()
            batch = next(batches, None)
            if batch is None:  # stopped while it waited
                break
            metrics.waited(time.monotonic() - began)
            failures.update(batch.failures)
            views = _augmented_views(batch, augment, augment_generator, config, device)
            values = _train_step(
                method,
                optimizer,
                views,
                source_ids=to_device(batch.source_ids, device),
                times=to_device(batch.pts_seconds, device),
                progress=step / total_steps,
                num_parts=config.optim.accumulate,
                clip_gradient=config.optim.clip_gradient,
                cast=autocast(device, config.engine.precision),
            )
            step += 1
            written = metrics.log(
                step,
                values=values,
                epoch=step / num_steps_per_epoch,
                lr=lr,
                describe=lambda: describe_embeddings(*method.embeddings),
            )
            if written and step > WARN_AFTER * total_steps and not warned:
                warned = warn_of_collapse(metrics.last, console)
            bar.update(step, metrics.last, num_failures=len(failures))
            if time.monotonic() - last_saved >= config.engine.checkpoint_minutes * 60:
                state.save(step, keep=config.engine.keep_checkpoints)
                last_saved = time.monotonic()
        state.save(step, keep=config.engine.keep_checkpoints)

    save_backbone(
        method.backbone,
        run / run_folder.BACKBONE,
        input_size=config.augment.size,
        provenance={
            "vidmoco_version": vidmoco.__version__,
            "method": config.method.name,
            "recipe": recipe,
            "steps": step,
            "num_videos": batching.num_videos,
            "seed": config.seed,
        },
    )
    _list_failures(source, failures, console=console)
    if stop.received:
        console.print(
            f"Stopped by {stop.received.name} after step {step} of {total_steps}. "
            f"Go on with: vidmoco pretrain --run {run} --resume",
            markup=False,
            soft_wrap=True,
        )
    else:
        console.print(f"Done: {run / run_folder.BACKBONE}", markup=False, soft_wrap=True)
    return PretrainResult(run, step, stop.exit_code)


def _build_method(config: PretrainConfig, *, device: torch.device, num_videos: int) -> Method:
    size, other_sizes = config.augment.size, []
    if isinstance(config.method, FastMoCoConfig):
        other_sizes.append(size // config.method.divide)
    if config.augment.small_crops:
        other_sizes.append(config.augment.small_size)
    backbone = build_backbone(
        config.backbone.name,
        size=size,
        other_sizes=other_sizes,
        pretrained=config.backbone.pretrained,
        zero_init_residual=config.backbone.zero_init_residual,
        freeze_patches=config.backbone.freeze_patches,
    )
    if device.type == "cpu" and config.engine.precision == "bf16":
        for small in (size, *other_sizes):
            if layer := strided_at_one_pixel(backbone, small):
                raise ConfigError(
                    f"Views or patches of {small} px are one pixel before the last stride of "
                    f"{config.backbone.name} ({layer}), where a CPU's gradients in bf16 are wrong. "
                    f"Make them {2 * small} px, or give --engine.precision fp32."
                )
    method = build_method(
        config.method,
        backbone=backbone,
        num_features=num_features_of(backbone),
        num_videos=num_videos,
        seed=config.seed,
    )
    if config.engine.channels_last:
        method.to(memory_format=torch.channels_last)
    return method.train()


def _queue_warning(config: PretrainConfig, num_videos: int) -> str:
    """Return in words that a queue holds many keys of each video; empty: it does not."""
    method = config.method
    if not isinstance(method, MoCoConfig) or method.same_video != "negative":
        return ""
    own = method.queue_size / num_videos
    if own <= 1:
        return ""
    return (
        f"The queue holds {method.queue_size:,} keys of {num_videos:,} videos, so about {own:.3g} "
        "of a query's negatives are of its own video. Think of --method.same-video masked, or of "
        "a smaller --method.queue-size."
    )


def _compile_encoders(method: nn.Module, *, cuda_graphs: bool) -> None:
    for name, module in method.named_children():
        if name.startswith("encoder"):
            module.compile(mode="reduce-overhead" if cuda_graphs else "default")


def _learning_rate(
    config: PretrainConfig, step: int, total_steps: int, num_steps_per_epoch: int
) -> float:
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


def _augmented_views(
    batch: PairBatch,
    augment: Augment,
    generator: torch.Generator,
    config: PretrainConfig,
    device: torch.device,
) -> list[Tensor]:
    """Return the query view, the key view and the small crops, on the device."""
    views = augment(to_device_ahead(batch.frames, device), batch.aspect_ratios, generator)
    if config.engine.channels_last:
        views = [view.contiguous(memory_format=torch.channels_last) for view in views]
    return views


def _train_step(
    method: Method,
    optimizer: torch.optim.Optimizer,
    views: list[Tensor],
    *,
    source_ids: Tensor,
    times: Tensor,
    progress: float,
    num_parts: int,
    clip_gradient: float | None,
    cast: AbstractContextManager[None],
) -> dict[str, Tensor]:
    """Take one optimiser step over ``num_parts`` micro-batches; return loss and diagnostics."""
    sums: dict[str, Tensor] = {}
    torch.compiler.cudagraph_mark_step_begin()  # what the last step's graphs gave is done with
    for part in range(num_parts):
        with cast:
            loss, stats = method(
                [view.chunk(num_parts)[part] for view in views],
                source_ids=source_ids.chunk(num_parts)[part],
                times=times.chunk(num_parts)[part],
                progress=progress,
                first=part == 0,
                last=part == num_parts - 1,
            )
        (loss / num_parts).backward()
        for name, value in {"loss": loss.detach(), **stats}.items():
            sums[name] = sums[name] + value if name in sums else value
    values = {name: total / num_parts for name, total in sums.items()}
    if not values["loss"].is_cuda:  # on CUDA the metrics look, at every interval and checkpoint
        require_finite(values["loss"].item())
    if clip_gradient is not None:
        nn.utils.clip_grad_norm_(method.parameters(), clip_gradient)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return values


class _RunState:
    """All that a checkpoint holds."""

    def __init__(
        self,
        run: Path,
        method: Method,
        optimizer: torch.optim.Optimizer,
        augment_generator: torch.Generator,
        metrics: MetricsLog,
    ) -> None:
        self.folder = run / run_folder.CHECKPOINTS
        self.method, self.optimizer, self.metrics = method, optimizer, metrics
        self.generators = {"augment": augment_generator}
        if isinstance(generator := getattr(method, "generator", None), torch.Generator):
            self.generators["method"] = generator

    def save(self, step: int, *, keep: int) -> None:
        """Write the checkpoint of ``step``, unless the loss has become non-finite on the way."""
        self.metrics.require_finite()
        state = {
            "step": step,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": {name: g.get_state() for name, g in self.generators.items()},
            "torch_generator": torch.get_rng_state(),
            "metrics": self.metrics.state_dict(),
        }
        save_checkpoint(self.folder, step=step, state=state, keep=keep)

    def load_newest(self) -> int:
        """Load the newest checkpoint and return its step; 0 where there is none yet."""
        paths = list_checkpoints(self.folder)
        if not paths:
            self.metrics.load_state_dict({"sums": {}, "count": 0}, step=0)
            return 0
        state = load_checkpoint(paths[-1])
        load_matching(self.method, state["method"], source=paths[-1])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name])
        torch.set_rng_state(state["torch_generator"])
        self.metrics.load_state_dict(state["metrics"], step=state["step"])
        return int(state["step"])


def warn_of_collapse(described: dict[str, Any], console: Console) -> bool:
    """Print that the embeddings have collapsed, if they have; return whether."""
    text = collapse_of(described)
    if text:
        console.print(text, markup=False, soft_wrap=True, style="bold red")
    return bool(text)


def _list_failures(source: PairSource, failures: dict[int, str], *, console: Console) -> None:
    """List the videos that could not be read while training, each once."""
    if not failures:
        return
    console.print(f"Could not be read, and were replaced by others: {len(failures)} of the videos")
    for row, reason in list(sorted(failures.items()))[:MAX_FAILURES_LISTED]:
        console.print(f"  {source.name(row)!r}: {reason}", markup=False, soft_wrap=True)
    if len(failures) > MAX_FAILURES_LISTED:
        console.print(f"  … and {len(failures) - MAX_FAILURES_LISTED} more")
