"""Features in memory."""

import os
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import torch
from rich.console import Console

from vidmoco.api.pictures import Picture, embed_pictures, pictures_or_videos
from vidmoco.backbones.frozen import FrozenBackbone, load_frozen
from vidmoco.backbones.preprocess import CropMode
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.frame_selection import FrameSelection
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.config.plain import from_python
from vidmoco.errors import ConfigError
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.extract_command import default_backbone
from vidmoco.features.stream import Pool, stream_features
from vidmoco.shapes import Float32, Float64
from vidmoco.video.open_catalog import open_videos

PathLike: TypeAlias = str | os.PathLike[str]
Features: TypeAlias = tuple[Float32[np.ndarray, "t *d"], Float64[np.ndarray, " t"]]
"""Features and times."""


@overload
def embed(
    videos: PathLike | Picture | Sequence[Picture],
    *,
    backbone: PathLike | FrozenBackbone | None = None,
    **settings: Any,
) -> Features: ...


@overload
def embed(  # Any: of pictures in files it is one pair
    videos: Sequence[PathLike],
    *,
    backbone: PathLike | FrozenBackbone | None = None,
    **settings: Any,
) -> list[Features] | Any: ...


def embed(
    videos: PathLike | Picture | Sequence[PathLike | Picture],
    *,
    backbone: PathLike | FrozenBackbone | None = None,
    pool: Pool = "none",
    normalize: bool = False,
    size: int | None = None,
    crop_mode: CropMode | None = None,
    device: str | torch.device = "auto",
    precision: Literal["bf16", "fp32"] = "fp32",
    batch_size: int | None = None,
    workers: int | None = None,
    limits: Limits | dict[str, Any] = DEFAULT_LIMITS,
    **frames: Any,
) -> Any:
    """Return the features of frames or pictures, in memory.

        features, times = vidmoco.embed("clip.mp4", backbone="runs/latest", fps=2)
        features, _ = vidmoco.embed(["a.jpg", "b.png"], backbone="runs/latest")

    Args:
        videos: A video, or several paths of videos; or pictures of any sizes, each of which has a
            row: an image of PIL, the path of an image file, an array or tensor, uint8 RGB
            (H, W, 3) or (3, H, W), or a list of these; or an array or tensor of frames of one
            size, (T, H, W, 3) or (T, 3, H, W). Where both axes are 3, the last one is RGB. A GIF
            is a video.
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
        limits: What a video may be, and what reading it may cost, as in ``pretrain``:
            ``{"max_duration": 9e4}``.
        **frames: Which frames of a video to take, as ``FrameSelection`` has them: ``fps``,
            ``every``, ``num_frames``, ``keyframes``, ``scenes``, ``times``, ``start``, ``end``.

    Returns:
        (features, times): float32 (T, D), and float64 (T,) in seconds from the first shown frame.
        Of several paths of videos, a list of such pairs. Of pictures and of arrays it is one pair,
        in their order, whose times are their numbers.

    Raises:
        ConfigError: A setting or the backbone cannot be used.
        VideoError: A video cannot be read.
        DataError: A picture cannot be read.
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
            "limits": limits,
        },
    )
    pictures, paths = pictures_or_videos(videos)
    frozen = frozen_of(
        backbone,
        device=command.device,
        size=command.size,
        crop_mode=command.crop_mode,
        precision=command.precision,
    )
    if pictures is not None:
        others = [*frames, *["pool"] * (command.pool != "none")]
        if others:
            raise ConfigError(
                "All pictures are taken, each with a row of its own: leave out "
                f"{' and '.join(others)}."
            )
        return embed_pictures(
            frozen,
            pictures,
            batch_size=command.batch_size or default_batch_size(frozen),
            normalize=command.normalize,
            console=Console(stderr=True),
        )
    rows = open_videos(paths, workers=command.workers, limits=command.limits)
    stream = stream_features(
        frozen,
        [(row, command.frames) for row in rows],
        pool=command.pool,
        normalize=command.normalize,
        batch_size=command.batch_size,
        limits=command.limits,
        workers=command.workers,
    )
    with closing(stream):  # a notebook keeps what was interrupted, and so its processes
        found = [one.read() for one in stream]
    return found[0] if isinstance(videos, str | os.PathLike) else found


def frozen_of(
    backbone: PathLike | FrozenBackbone | None, *, device: str, **options: Any
) -> FrozenBackbone:
    """Return a backbone on its device: loaded, or the one that is.

    Raises:
        ConfigError: it is loaded, and there are settings of ``load_frozen``.
    """
    if isinstance(backbone, FrozenBackbone):
        given = [name for name, value in options.items() if value not in (None, "fp32")]
        given += ["device"] * (device != "auto")
        if given:
            raise ConfigError(
                f"A backbone that is loaded has its own {' and '.join(given)}. Give them to "
                "load_frozen, or name the backbone."
            )
        return backbone
    return load_frozen(backbone or default_backbone(), device=device, **options)
