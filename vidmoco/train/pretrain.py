"""Pretraining: from videos and a config to a run folder."""

import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vidmoco import distributed, run_folder
from vidmoco.atomic_file import writing
from vidmoco.augment.views import build_augment
from vidmoco.backbones.layers import layer_scales
from vidmoco.backbones.trial import require_savable
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import dump_recipe
from vidmoco.config.resume import changed_settings, resumed_config
from vidmoco.console import LastingConsole, say
from vidmoco.data.source import PairSource, open_source
from vidmoco.device import autocast, keep_freed_memory, resolve_device, to_device, use_threads
from vidmoco.distributed import on_all_ranks
from vidmoco.interrupt import StopSignals
from vidmoco.json_lines import set_aside_damaged
from vidmoco.loggers.open import OnLog, open_loggers
from vidmoco.methods.build import compile_encoders, require_compiler
from vidmoco.optim.optimizers import build_optimizer, set_learning_rate
from vidmoco.train.build import assemble_method
from vidmoco.train.collapse import collapse_of
from vidmoco.train.diagnostics import describe_embeddings
from vidmoco.train.first_screen import first_screen, last_screen
from vidmoco.train.length import learning_rate_of, plan_length
from vidmoco.train.memory import naming_the_batch_that_fits
from vidmoco.train.metrics import MetricsLog, require_finite_weights
from vidmoco.train.monitor import open_monitor
from vidmoco.train.outcome import PretrainResult, outcome
from vidmoco.train.progress import TrainingProgress
from vidmoco.train.run_state import RunState, settings_of_checkpoint
from vidmoco.train.start import Resume, has_nothing_to_do, started
from vidmoco.train.step import augmented_views, loss_of_first, train_step
from vidmoco.video.catalog import Catalog
from vidmoco.visualize.first_batch import sheet_of_batch

# Warn of a collapse only after this share of the training and this many steps, because an untrained
# network looks much like a collapsed one.
WARN_AFTER, LEAST_STEPS = 0.1, 50


def pretrain(
    config: PretrainConfig,
    *,
    run: Path | None = None,
    resume: Resume = False,
    recipe: str = "",
    console: Console | None = None,
    catalog: Catalog | None = None,
    on_log: OnLog | None = None,
) -> PretrainResult:
    """Train as ``config`` says and write everything to the folder ``run``.

    SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 end the run after a step, with a checkpoint.
    ``resume`` continues from the newest checkpoint, with the same numbers as without the stop (on
    the CPU, bit for bit); "auto" does so where there is one, and else begins.

    ``catalog`` is that of a new run's videos, if they were looked at before.
    ``on_log`` gets each line of metrics.jsonl when it is written, in the main process. What it
    raises ends the run as a signal does, and is raised then.
    ``run`` is held by this training until it ends. None means ``runs/RECIPE-NUMBER``, or
    ``runs/latest`` to resume.

    Raises:
        ConfigError: a setting cannot be used, a file cannot be written, or another training holds
            the run folder.
        CheckpointError: the checkpoint to resume from cannot be read.
        TrainingError: the loss is not finite, or another process of the job has ended.
        VideoError: too many videos in a row cannot be read.
    """
    with distributed.processes_from_environment(resolve_device(config.engine.device)) as device:
        threads = torch.get_num_threads()
        console = console or LastingConsole()
        if not distributed.is_main():
            console = Console(quiet=True)
        try:
            with started(run, resume=resume, recipe=recipe, console=console) as (run, goes_on):
                recipe = "" if resume and goes_on else recipe
                return _pretrain(
                    config,
                    device,
                    run=run,
                    resume=goes_on,
                    auto=resume == "auto",
                    recipe=recipe,
                    console=console,
                    catalog=catalog,
                    on_log=on_log,
                )
        finally:
            torch.set_num_threads(threads)  # of the caller's own work


def _pretrain(
    config: PretrainConfig,
    device: torch.device,
    *,
    run: Path,
    resume: bool,
    auto: bool,
    recipe: str,
    console: Console,
    catalog: Catalog | None,
    on_log: OnLog | None,
) -> PretrainResult:
    is_main = distributed.is_main()
    saved = settings_of_checkpoint(run) if resume else None
    if saved is not None:
        edited = str(run / run_folder.CONFIG)
        config = resumed_config(saved, config, run=run, edited=edited)
        if changed := changed_settings(saved, config, run=run):
            say(console, f"Settings that differ from the checkpoint's: {'; '.join(changed)}")
        same = auto or config.videos == saved.videos  # others are looked at, and mostly refused
        if same and has_nothing_to_do(run, config, saved):
            taken = run_folder.newest_step(run)
            with open_loggers(run, config, step=taken, console=console):
                pass  # one may have joined
            say(console, *last_screen(run, taken=taken))
            return PretrainResult(run, taken, 0)
    torch.manual_seed(config.seed)
    # All mistakes in the settings are found before anything is written.
    with distributed.main_first():  # the main process scans; the others find the catalog
        source = open_source(
            config,
            resume=run if resume else None,
            console=console,
            quarantine=run_folder.quarantine_of(run, distributed.rank()),
            catalog=catalog,
        )
    batching = source.batching()
    use_threads(device, config.engine.threads, beside_decoders=source.decodes)
    keep_freed_memory(device)
    method = assemble_method(
        config,
        device=device,
        durations=source.sources.durations,
        tell=lambda line: say(console, line),
    ).to(device)
    monitor = open_monitor(config, method, source, device=device, console=console)
    if is_main:
        require_savable(method.backbone, name=config.backbone.name, input_size=config.augment.size)
    if config.engine.compile:
        require_compiler(device)
    num_steps_per_epoch = batching.steps_per_epoch
    length = plan_length(config, num_steps_per_epoch, resume=run if resume else None, saved=saved)
    total_steps = length.total
    optimizer = build_optimizer(
        method.named_parameters(),
        config.optim,
        scales=layer_scales(method.backbone, config.optim.layer_decay),
    )
    augment = build_augment(config.augment)
    augment_generator = torch.Generator().manual_seed(config.seed)
    metrics = MetricsLog(
        run / run_folder.METRICS,
        log_every=config.engine.log_every,
        batch_size=config.data.batch_size,
        total_steps=total_steps,
    )
    if is_main and resume:
        for log in (run_folder.METRICS, run_folder.MONITOR, run_folder.EXTENSIONS):
            if damage := set_aside_damaged(run / log):
                say(console, damage)
    state = RunState(run, method, optimizer, augment_generator, metrics, config)
    start_step = state.load_newest() if resume else 0
    loggers = open_loggers(run, config, step=start_step, console=console, on_log=on_log)
    if is_main and not resume:
        text = dump_recipe(config)
        with writing(run, advice=" and give the same command again, or give another --run."):
            source.save(run)
            (run / run_folder.CONFIG).write_text(text, encoding="utf-8")
            run_folder.write_environment(
                run / run_folder.ENVIRONMENT, device=device, recipe=Path(recipe).stem
            )
    if is_main and resume and (text := length.save(run, config)):
        say(console, text)
    if is_main and (reason := run_folder.point_latest_at(run)):
        say(console, reason)
    steps = range(start_step, total_steps)
    say(
        console,
        *first_screen(config, source, batching, steps, run=run, recipe=recipe, device=device),
    )
    monitor.begin(
        run / run_folder.MONITOR,
        start_step=start_step,
        total_steps=total_steps,
        num_steps_per_epoch=num_steps_per_epoch,
        show=loggers.monitor,
    )
    if config.engine.compile:
        compile_encoders(method, cuda_graphs=config.engine.cuda_graphs)

    stop = StopSignals()
    alone = distributed.world_size() == 1  # several processes stop together, after a step
    batches = source.batches(
        batching,
        range(start_step, total_steps),
        pin_memory=device.type == "cuda",
        stopped=lambda: alone and stop.received is not None,
    )
    replica = on_all_ranks(method, device)
    failures: dict[int, str] = {}
    warned = False
    bar = TrainingProgress(console, total_steps=total_steps, start_step=start_step, recipe=recipe)
    step = start_step
    with stop, bar, closing(state.writer), loggers, closing(batches):
        while step < total_steps:
            stops = stop.received is not None or loggers.failure is not None
            stopped, due = distributed.any_of_each(stops, state.is_due(step))
            if due:
                state.save(step)
            if stopped:
                break
            metrics.leave_out(monitor.look(step))
            lr = learning_rate_of(config, step, length.of_rate(step, config), num_steps_per_epoch)
            set_learning_rate(optimizer, lr)
            began = time.monotonic()
            with distributed.ends_soon(f"reading the frames of step {step + 1}"):
                batch = next(batches, None)
            if batch is None:  # stopped while waiting
                break
            metrics.waited(time.monotonic() - began)
            failures.update(batch.failures)
            views = augmented_views(batch, augment, augment_generator, config, device)
            if loggers.wants_picture:
                loggers.picture(partial(sheet_of_batch, batch, views, source, config))
            inputs: dict[str, Any] = {
                "source_ids": to_device(batch.source_ids, device),
                "times": to_device(batch.source_seconds, device),
                "cast": autocast(device, config.engine.precision),
            }
            attempt = partial(loss_of_first, method, views, **inputs)
            with distributed.ends_soon(f"taking step {step + 1}, or waiting for one that is"):
                with naming_the_batch_that_fits(config, device, attempt):
                    values = train_step(
                        method,
                        optimizer,
                        views,
                        **inputs,
                        progress=step / length.at(step),
                        num_parts=config.optim.accumulate,
                        clip_gradient=config.optim.clip_gradient,
                        replica=replica,
                    )
                step += 1
                written = metrics.log(  # here a GPU is waited for
                    step,
                    values=values,
                    epoch=step / num_steps_per_epoch,
                    lr=lr,
                    describe=lambda: describe_embeddings(
                        *map(distributed.gather_rows, method.embeddings)
                    ),
                )
            if written:
                loggers.metrics(metrics.last)
            if written and step > max(WARN_AFTER * total_steps, LEAST_STEPS) and not warned:
                most = min(config.data.batch_size, config.method.dim)
                text = collapse_of(metrics.last, most_rank=most)
                say(console, *[text] * bool(text), style="bold red")
                warned = bool(text)
            bar.show(step, metrics.last, num_failures=len(failures))
        require_finite_weights(method.backbone)
        state.save(step)
        state.writer.wait()
        if step == total_steps:
            monitor.look(step)

    for others in distributed.gather_objects(failures):
        failures |= others
    if is_main:
        state.save_backbone(source, step=step, total_steps=total_steps)
    _list_failures(source, failures, console=console)
    return outcome(run, step, total_steps, stop=stop, loggers=loggers, console=console)


def _list_failures(source: PairSource, failures: dict[int, str], *, console: Console) -> None:
    """List the videos that could not be read during the training."""
    if failures:
        say(console, f"{len(failures)} of the videos could not be read and were replaced:")
        say(console, *source.failure_lines(failures))
