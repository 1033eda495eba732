"""Features in memory, their evaluation and their search."""

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange

from vidmoco.backbones.frozen import FrozenBackbone, load_frozen
from vidmoco.backbones.preprocess import CropMode, resize_and_crop
from vidmoco.backbones.source import require_source
from vidmoco.config.evaluation import EvaluateCommand, SearchCommand
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.frame_selection import FrameSelection
from vidmoco.config.plain import from_python
from vidmoco.device import resolve_device
from vidmoco.errors import ConfigError
from vidmoco.evaluate.compare import evaluate as run_evaluation
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.extract_command import default_backbone
from vidmoco.features.stream import Pool, stream_features
from vidmoco.shapes import Float32, Float64
from vidmoco.urls import absolute_paths
from vidmoco.video.open_catalog import open_videos
from vidmoco.visualize.search import find

PathLike = str | os.PathLike[str]


def embed(
    videos: PathLike | np.ndarray | torch.Tensor | Sequence[PathLike],
    *,
    backbone: PathLike | FrozenBackbone | None = None,
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
        videos: A video; several paths of videos; or an array or tensor of frames, uint8 RGB
            (T, H, W, 3), all of which are taken, each with a row of its own.
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
    # ``extract`` knows what each may be, and what fits together.
    command = from_python(
        ExtractCommand,
        {
            "videos": ["-"],
            "output": "-",
            "frames": from_python(FrameSelection, frames),
            "pool": pool,
            "normalize": normalize,
            "size": size,
            "crop_mode": crop_mode,
            "device": device,
            "precision": precision,
            "batch_size": batch_size,
            "workers": workers,
        },
    )
    frozen = _frozen(
        backbone,
        device=command.device,
        size=command.size,
        crop_mode=command.crop_mode,
        precision=command.precision,
    )
    if isinstance(videos, torch.Tensor):
        videos = videos.detach().cpu().numpy()
    if isinstance(videos, np.ndarray):
        others = [*frames, *["pool"] * (command.pool != "none"), *["normalize"] * command.normalize]
        if others:
            raise ConfigError(
                "All frames of an array are taken, each with a row of its own: leave out "
                f"{' and '.join(others)}."
            )
        batch_size = command.batch_size or default_batch_size(frozen)
        return _embed_array(frozen, videos, batch_size)
    rows = open_videos(absolute_paths(videos), workers=command.workers)
    stream = stream_features(
        frozen,
        [(row, command.frames) for row in rows],
        pool=command.pool,
        normalize=command.normalize,
        batch_size=command.batch_size,
        workers=command.workers,
    )
    with closing(stream):  # a notebook keeps what was interrupted, and so its processes
        found = [one.read() for one in stream]
    return found[0] if isinstance(videos, str | os.PathLike) else found


def evaluate(
    images: PathLike,
    backbones: PathLike | Sequence[PathLike],
    *,
    output: PathLike | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Compare frozen backbones on labelled images, by k-NN and a linear probe.

    Args:
        images: A folder with train/ and val/, or with Parquet files, or of labelled videos.
        backbones: One or several: runs, backbone folders, timm names, ``random``, ``random:NAME``.
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
    several: Any = backbones
    if isinstance(backbones, str | os.PathLike) or not isinstance(backbones, Iterable):
        several = [backbones]
    for source in several:
        require_source(source)
    given = {"images": images, "backbone": several, "output": output} | settings
    return run_evaluation(from_python(EvaluateCommand, given), writes=output is not None)


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
    given = {"features": features, "query": query} | settings
    hits = find(from_python(SearchCommand, given))
    return [
        {
            "video": str(hits.features.file_of(row).source),
            "seconds": float(hits.features.times[row]),
            "similarity": float(similarity),
        }
        for row, similarity in zip(hits.rows.tolist(), hits.similarity, strict=True)
    ]


def _frozen(
    backbone: PathLike | FrozenBackbone | None, *, device: str, **options: Any
) -> FrozenBackbone:
    if isinstance(backbone, FrozenBackbone):
        given = [name for name, value in options.items() if value not in (None, "fp32")]
        given += ["device"] * (device != "auto")
        if given:
            raise ConfigError(
                f"A backbone that is loaded has its own {' and '.join(given)}. Give them to "
                "load_frozen, or name the backbone."
            )
        return backbone
    where = resolve_device(device)
    frozen = load_frozen(default_backbone() if backbone is None else backbone, **options)
    frozen.move_to(where)
    return frozen


def _embed_array(
    frozen: FrozenBackbone, frames: np.ndarray, batch_size: int
) -> tuple[Float32[np.ndarray, "t *d"], Float64[np.ndarray, " t"]]:
    is_rgb = frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3
    if not is_rgb or 0 in frames.shape[1:]:
        raise ConfigError(
            f"The array is {frames.dtype} {frames.shape}; expected uint8 (T, H, W, 3), RGB."
        )
    features = [np.zeros((0, *frozen.row_shape), np.float32)]
    for start in range(0, len(frames), batch_size):
        # A copy: torch takes no negative strides, as frames[..., ::-1] of OpenCV's BGR has them.
        part = torch.from_numpy(frames[start : start + batch_size].copy())
        images = rearrange(part, "t h w c -> t c h w")
        inputs = resize_and_crop(images, frozen.preprocess).to(frozen.device)
        features.append(frozen.features(inputs).cpu().numpy())
    return np.concatenate(features), np.arange(len(frames), dtype=np.float64)
