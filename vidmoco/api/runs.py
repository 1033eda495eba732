"""Trainings, and the runs that they leave."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from rich.console import Console
from torch import nn

from vidmoco import run_folder
from vidmoco.api.embed import PathLike, embed
from vidmoco.api.features import evaluate
from vidmoco.backbones.build import load_backbone
from vidmoco.backbones.source import with_lasting_sources
from vidmoco.config.evaluation import ReportCommand
from vidmoco.config.plain import nested
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import asked_of, default_recipe, load_recipe, with_settings
from vidmoco.config.resume import has_checkpoint, resumed_config
from vidmoco.console import say
from vidmoco.cores import require_device
from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.json_lines import read_metrics
from vidmoco.loggers.open import OnLog
from vidmoco.report.report import report as write_report
from vidmoco.run_folder import LATEST
from vidmoco.train.pretrain import pretrain as train
from vidmoco.train.start import Resume
from vidmoco.urls import absolute, absolute_paths, expanded

_TRAINING = threading.RLock()  # a function that gets the log may train too


@dataclass(frozen=True)
class Run:
    """A run folder, finished or not. It is taken wherever a path of a backbone is."""

    path: Path

    def __post_init__(self) -> None:
        # The current folder may be another when it is asked for.
        object.__setattr__(self, "path", absolute(Path(self.path)))

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def config(self) -> PretrainConfig:
        """The settings of the run."""
        return load_recipe(str(self.path / run_folder.CONFIG))

    @property
    def metrics(self) -> pa.Table:
        """The logged metrics, a row per logged step; ``.to_pandas()`` where pandas is installed.

        The columns are those of the run's metrics.jsonl: ``step``, ``epoch``, ``loss``, ``lr``,
        ``top1`` (percent), ``pairs_per_second`` and the method's diagnostics.
        """
        return _table(self.path / run_folder.METRICS)

    @property
    def monitor(self) -> pa.Table:
        """What the monitor measured, a row per measurement; no row where it was not asked for.

        The columns are those of the run's monitor.jsonl: ``step``, ``epoch``, ``knn_top1``
        (percent), ``retrieval`` (percent by distance in seconds), ``seconds``, and ``failure``
        where nothing could be measured.
        """
        return _table(self.path / run_folder.MONITOR)

    @property
    def is_finished(self) -> bool:
        """Whether all of its steps are taken and its backbone is there."""
        return run_folder.is_finished(self.path)

    def backbone(self) -> nn.Module:
        """Return the backbone, frozen, in evaluation mode: (N, 3, H, W) to (N, D).

        Raises:
            CheckpointError: the run has not written one yet, or it is damaged.
        """
        return load_backbone(self.path)

    def embed(self, videos: Any, **options: Any) -> Any:
        """Return ``embed(videos, backbone=run)``."""
        return embed(videos, backbone=self, **options)

    def evaluate(self, images: PathLike, **settings: Any) -> dict[str, Any]:
        """Return ``evaluate(images, [run])``."""
        return evaluate(images, [self], **settings)

    def report(self, output: PathLike | None = None) -> Path:
        """Write the run's HTML page and return its path."""
        path = Path(output) if output is not None else self.path / "report.html"
        write_report(ReportCommand(sources=(self.path,), output=path), console=Console(quiet=True))
        return path


def _table(path: Path) -> pa.Table:
    if not path.parent.is_dir():
        raise CheckpointError(f"There is no run folder {path.parent} any more.")
    lines = read_metrics(path)
    columns = dict.fromkeys(name for line in lines for name in line)  # a later line may have more
    return pa.Table.from_pylist([{name: line.get(name) for name in columns} for line in lines])


def pretrain(
    videos: PathLike | Sequence[PathLike] | None = None,
    *,
    recipe: PathLike | PretrainConfig | None = None,
    run: PathLike | None = None,
    resume: Resume = False,
    on_log: OnLog | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a backbone on pairs of frames, and return its run.

    An interrupt (the stop button of a notebook) ends it after a step, with a checkpoint, and is
    raised then: ``resume=True`` with the same ``run`` goes on. It can be called any number of
    times.

        run = vidmoco.pretrain("videos/", steps=500, batch_size=64, backbone="resnet18",
                               augment={"size": 64}, monitor={"images": "images/"})

    Args:
        videos: A folder of videos, prepared frames or images, a video or a catalog; or several. A
            run that is resumed knows its own, and so does a run that is the recipe.
        recipe: A shipped recipe, a YAML file, or a run or its ``config``, whose settings are begun
            with. The default is ``vidmoco`` on a CPU and ``vidmoco_gpu`` where there is a GPU.
        run: The run folder. The default is runs/RECIPE-NUMBER.
        resume: Go on from the run's newest checkpoint, with its own settings. ``steps`` or
            ``epochs`` extend it; what computes nothing else may change too, such as ``workers``.
            "auto" does so where ``run`` has a checkpoint, and else begins with ``videos``,
            ``recipe`` and settings; of a finished run it returns at once.
        on_log: A function that gets each line of the run's metrics.jsonl as a dict, when it is
            written (``engine={"log_every": 10}``), in the main process only. What it raises ends
            the training after that step, with a checkpoint and a backbone, and is raised then.
        quiet: Print nothing.
        **settings: Settings in place of the recipe's: those without a section (``steps``,
            ``epochs``, ``seed``), those that have a short flag (``batch_size``, ``device``,
            ``precision``, ``workers``, ``single_frame``), ``backbone`` and ``method`` by name, and
            whole sections as dicts (``data={"max_gap": 1.5}``) or by dotted names
            (``**{"data.max_gap": 1.5}``).

    Raises:
        ConfigError: A setting is unknown or cannot be used.
        CheckpointError: There is no checkpoint that can be resumed.
        TrainingError: The loss is not finite.
        VideoError: Too many videos in a row cannot be read.
        KeyboardInterrupt: A signal came, and the run is saved as it is. For SIGTERM, SIGHUP,
            SIGUSR1 and SIGUSR2 it is ``vidmoco.interrupt.Stopped``, with an ``exit_code``.
    """
    if on_log is not None and not callable(on_log):
        raise ConfigError(
            f"on_log is of type {type(on_log).__name__}; expected a function, which gets each line "
            "of metrics.jsonl as a dict."
        )
    if resume not in (True, False, "auto"):
        raise ConfigError(f"resume is {resume!r}; it must be True, False or 'auto'.")
    folder, settings = expanded(Path(run)) if run is not None else None, nested(settings)
    if resume is True or (resume and has_checkpoint(folder)):
        folder = folder or LATEST.resolve()
        saved = load_run(folder).config
        given = settings | {"videos": saved.videos if videos is None else absolute_paths(videos)}
        base = _settings_of(recipe) if recipe and resume == "auto" else saved
        config = resumed_config(saved, with_settings(base, given, call=pretrain), run=folder)
    else:
        asked = settings.get("device") or asked_of(settings.get("engine"), "device") or "auto"
        require_device(str(asked))  # before what the recipe for it asks of the settings
        recipe = recipe or default_recipe(str(asked))
        base = _settings_of(recipe)
        if videos is None and not base.videos:  # a run's config has some
            raise ConfigError("No videos given. Name a folder of videos.")
        given = settings | {"videos": absolute_paths(base.videos if videos is None else videos)}
        config = with_settings(base, given, call=pretrain)
        config = replace(config, backbone=with_lasting_sources(config.backbone))
    if config.monitor.images is not None:
        images = absolute(config.monitor.images)
        config = replace(config, monitor=replace(config.monitor, images=images))
    named = "" if recipe is None or isinstance(recipe, PretrainConfig) else os.fspath(recipe)
    with _alone(Console(stderr=True, quiet=quiet)), _as_a_program():
        result = train(
            config,
            run=folder,
            resume=resume,
            recipe=named,
            console=Console(quiet=True) if quiet else None,
            on_log=on_log,
        )
    if result.interrupt is not None:
        raise result.interrupt
    return Run(result.run)


@contextmanager
def _alone(console: Console) -> Iterator[None]:
    """Wait for a training of another thread: both would draw from torch's one generator."""
    if not _TRAINING.acquire(blocking=False):
        say(console, "Another training runs in this process, and this one begins after it.")
        _TRAINING.acquire()
    try:
        yield
    finally:
        _TRAINING.release()


@contextmanager
def _as_a_program() -> Iterator[None]:
    """Train as the command does, whatever the caller has set for torch, and leave that as it was.

    That is its generators, its default dtype and device, and whether it keeps gradients.
    """
    dtype = torch.get_default_dtype()
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=gpus))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
        yield


def _settings_of(recipe: PathLike | PretrainConfig) -> PretrainConfig:
    return recipe if isinstance(recipe, PretrainConfig) else load_recipe(recipe)


def load_run(path: PathLike) -> Run:
    """Return the run of a folder.

    Raises:
        CheckpointError: It is no run folder.
    """
    run = Run(expanded(Path(path)))
    if not (run.path / run_folder.CONFIG).is_file():
        raise CheckpointError(f"{path} is no run folder: it has no {run_folder.CONFIG}.")
    return run
