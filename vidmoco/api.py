"""The functions of ``import vidmoco``: the commands, for a notebook or a script of one's own."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from einops import rearrange
from rich.console import Console
from torch import nn

from vidmoco import run_folder
from vidmoco.backbones.build import load_backbone
from vidmoco.backbones.frozen import FrozenBackbone, load_frozen
from vidmoco.backbones.preprocess import CropMode, resize_and_crop
from vidmoco.cli.flags import default_recipe
from vidmoco.config.evaluation import EvaluateCommand, ReportCommand, SearchCommand
from vidmoco.config.frame_selection import FrameSelection
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe, with_settings
from vidmoco.device import resolve_device
from vidmoco.errors import CheckpointError, ConfigError, VideoError
from vidmoco.evaluate.compare import evaluate as run_evaluation
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.extract_command import default_backbone
from vidmoco.features.stream import Pool, stream_features
from vidmoco.report.report import report as write_report
from vidmoco.run_folder import new_run_name
from vidmoco.shapes import Float32, Float64
from vidmoco.train.pretrain import pretrain as train
from vidmoco.video.open_catalog import open_catalog
from vidmoco.visualize.search import find

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Run:
    """A run folder, finished or not."""

    path: Path

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
        lines = (self.path / run_folder.METRICS).read_text(encoding="utf-8").splitlines(True)
        return pa.Table.from_pylist([json.loads(line) for line in lines if line.endswith("\n")])

    @property
    def is_finished(self) -> bool:
        """Whether all of its steps are taken and its backbone is there."""
        about = self.path / run_folder.BACKBONE / "config.json"
        if not about.is_file():
            return False
        steps = json.loads(about.read_text(encoding="utf-8"))["vidmoco"]
        return bool(steps["steps"] >= steps["total_steps"])

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
        write_report(ReportCommand(source=self.path, output=path), console=Console(quiet=True))
        return path


def pretrain(
    videos: PathLike | Sequence[PathLike],
    *,
    recipe: str | None = None,
    run: PathLike | None = None,
    resume: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a backbone on pairs of frames, and return its run.

    An interrupt (the stop button of a notebook) ends it after a step, with a checkpoint:
    ``resume=True`` with the same ``run`` goes on. It can be called any number of times.

        run = vidmoco.pretrain("videos/", steps=500, batch_size=64, backbone="resnet18",
                               augment={"size": 64}, monitor={"images": "images/"})

    Args:
        videos: A folder of videos, prepared frames or images, a video or a catalog; or several.
        recipe: A shipped recipe or a YAML file. The default is ``vidmoco`` on a CPU and
            ``vidmoco_gpu`` where there is a GPU.
        run: The run folder. The default is runs/RECIPE-NUMBER.
        resume: Go on from the run's newest checkpoint, with its own settings.
        quiet: Print nothing.
        **settings: Settings in place of the recipe's: those without a section (``steps``,
            ``epochs``, ``seed``), those that have a short flag (``batch_size``, ``device``,
            ``precision``, ``workers``, ``single_frame``), ``backbone`` and ``method`` by name, and
            whole sections as dicts (``data={"max_gap": 1.5}``).

    Raises:
        ConfigError: A setting is unknown or cannot be used.
        CheckpointError: There is no checkpoint that can be resumed.
        TrainingError: The loss is not finite.
        VideoError: Too many videos in a row cannot be read.
    """
    recipe = recipe or default_recipe(str(settings.get("device", "auto")))
    folder = Path(run) if run is not None else new_run_name(recipe)
    if resume:
        if settings:
            raise ConfigError(
                f"A run resumes with its own settings; {', '.join(settings)} cannot be given."
            )
        config = load_recipe(str(folder / run_folder.CONFIG))
    else:
        paths = tuple(path.absolute() for path in _paths(videos))
        config = with_settings(load_recipe(recipe), settings | {"videos": paths})
    train(
        config,
        run=folder,
        resume=resume,
        recipe="" if resume else recipe,
        console=Console(quiet=True) if quiet else None,
    )
    return Run(folder)


def load_run(path: PathLike) -> Run:
    """Return the run of a folder.

    Raises:
        CheckpointError: It is no run folder.
    """
    run = Run(Path(path))
    if not (run.path / run_folder.CONFIG).is_file():
        raise CheckpointError(f"{path} is no run folder: it has no {run_folder.CONFIG}.")
    return run


def embed(
    videos: PathLike | np.ndarray | Sequence[PathLike],
    *,
    backbone: PathLike | Run | FrozenBackbone | None = None,
    pool: Pool = "none",
    normalize: bool = False,
    size: int | None = None,
    crop_mode: CropMode | None = None,
    device: str = "auto",
    precision: Literal["bf16", "fp32"] = "fp32",
    batch_size: int | None = None,
    workers: int | None = None,
    **frames: Any,
) -> Any:
    """Return the features of frames, in memory.

        features, times = vidmoco.embed("clip.mp4", backbone="runs/latest", fps=2)

    Args:
        videos: A video; an array of uint8 RGB frames (T, H, W, 3); or several paths of videos.
        backbone: A run, a backbone folder, a timm name, ``random:NAME``, or what ``load_frozen``
            returned, which saves loading it each time. The default is runs/latest, or timm's
            pretrained ResNet-50.
        pool: ``mean`` or ``max`` over the frames of each video, which then has one row.
        normalize: Give features of unit length.
        size: Input size in pixels. The default is the backbone's own.
        crop_mode: ``center`` or ``squash``. The default is the backbone's own.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: Arithmetic of the backbone.
        batch_size: Frames in one pass. The default is 64 on a CPU, and what fits on a GPU.
        workers: Processes that decode.
        **frames: Which frames of a video to take, as ``FrameSelection`` has them: ``fps``,
            ``every``, ``num_frames``, ``keyframes``, ``scenes``, ``times``, ``start``, ``end``.

    Returns:
        (features, times): float32 (T, D), and float64 (T,) in seconds from the first shown frame.
        Times of an array are the numbers of its frames. Of several paths, a list of such pairs.

    Raises:
        ConfigError: A setting or the backbone cannot be used.
        VideoError: A video cannot be read.
    """
    frozen = _frozen(backbone, size=size, crop_mode=crop_mode, precision=precision, device=device)
    if isinstance(videos, np.ndarray):
        if frames or pool != "none" or normalize:
            raise ConfigError("Frames of an array are all taken, as they are; leave these out.")
        return _embed_array(frozen, videos, batch_size or default_batch_size(frozen))
    paths = _paths(videos)
    selection = FrameSelection(**frames)
    rows = [open_catalog([path])[0] for path in paths]
    for path, row in zip(paths, rows, strict=True):
        if row.route == "refused":
            raise VideoError(f"{path}: {row.reason}.")
    found = [
        one.read()
        for one in stream_features(
            frozen,
            [(row, selection) for row in rows],
            pool=pool,
            normalize=normalize,
            batch_size=batch_size,
            workers=workers,
        )
    ]
    return found[0] if isinstance(videos, str | os.PathLike) else found


def evaluate(
    images: PathLike,
    backbones: Sequence[PathLike | Run],
    *,
    output: PathLike | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Compare frozen backbones on labelled images, by k-NN and a linear probe.

    Args:
        images: A folder with train/ and val/, or with Parquet files, or of labelled videos.
        backbones: Runs, backbone folders, timm names, ``random``, ``random:NAME``.
        output: A JSON file for the results. The default writes none.
        **settings: Further settings of ``vidmoco evaluate``, such as ``k=(20,)``, ``linear=False``,
            ``few_shot=(0.1,)``, ``device="cpu"``.

    Returns:
        What ``vidmoco evaluate`` writes: ``rows`` has an entry per backbone, with its accuracies in
        percent.

    Raises:
        ConfigError: A setting, path or backbone cannot be used.
        DataError: The images cannot be used.
    """
    sources = tuple(str(one.path if isinstance(one, Run) else one) for one in backbones)
    given: dict[str, Any] = {"images": Path(images), "backbone": sources} | settings
    if output is not None:
        given["output"] = Path(output)
    return run_evaluation(EvaluateCommand(**given), writes=output is not None)


def search(features: PathLike, query: PathLike, **settings: Any) -> list[dict[str, Any]]:
    """Return the frames most similar to an image or a frame, the most similar first.

    Args:
        features: What ``vidmoco extract`` wrote: a file or a folder.
        query: An image, or a video with a time in seconds: ``clip.mp4@12.5``.
        **settings: Further settings of ``vidmoco search``: ``top``, ``per_video``, ``min_gap``,
            ``backbone``, ``device``.

    Returns:
        Dicts of ``video`` (its path), ``seconds`` and ``similarity`` (the cosine).

    Raises:
        ConfigError: Features, query or backbone cannot be used.
    """
    hits = find(SearchCommand(features=Path(features), query=str(query), **settings))
    return [
        {
            "video": str(hits.features.file_of(row).source),
            "seconds": float(hits.features.times[row]),
            "similarity": float(similarity),
        }
        for row, similarity in zip(hits.rows.tolist(), hits.similarity, strict=True)
    ]


def _frozen(
    backbone: PathLike | Run | FrozenBackbone | None, *, device: str, **options: Any
) -> FrozenBackbone:
    if isinstance(backbone, FrozenBackbone):
        return backbone
    where = resolve_device(device)
    source = backbone.path if isinstance(backbone, Run) else backbone or default_backbone()
    frozen = load_frozen(str(source), **options)
    frozen.move_to(where)
    return frozen


def _embed_array(
    frozen: FrozenBackbone, frames: np.ndarray, batch_size: int
) -> tuple[Float32[np.ndarray, "t d"], Float64[np.ndarray, " t"]]:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ConfigError(
            f"The array is {frames.dtype} {frames.shape}; expected uint8 (T, H, W, 3), RGB."
        )
    features = [np.zeros((0, frozen.dim), np.float32)]
    for start in range(0, len(frames), batch_size):
        images = rearrange(
            torch.from_numpy(frames[start : start + batch_size]), "t h w c -> t c h w"
        )
        inputs = resize_and_crop(images, frozen.preprocess).to(frozen.device)
        features.append(frozen.features(inputs).cpu().numpy())
    return np.concatenate(features), np.arange(len(frames), dtype=np.float64)


def _paths(given: PathLike | Sequence[PathLike]) -> list[Path]:
    several = [given] if isinstance(given, str | os.PathLike) else given
    return [Path(path).expanduser() for path in several]
