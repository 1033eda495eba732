"""Features in memory."""

import math
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import torch
from rich.console import Console

from vidmoco.api.pictures import Picture, embed_pictures, pictures_or_videos
from vidmoco.backbones.frozen import FrozenBackbone, load_frozen
from vidmoco.backbones.preprocess import CropMode
from vidmoco.backbones.tokens import FeatureKind
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.frame_selection import FrameSelection, selection_of
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.config.plain import from_python
from vidmoco.errors import ConfigError, VideoError
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.extract_command import default_backbone
from vidmoco.features.stream import Pool, stream_features
from vidmoco.progress import ProgressBar
from vidmoco.shapes import Float32, Float64
from vidmoco.urls import absolute
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import look_up

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
def embed(
    videos: Sequence[PathLike],
    *,
    backbone: PathLike | FrozenBackbone | None = None,
    errors: Literal["return"],
    **settings: Any,
) -> list[Features | VideoError]: ...


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
    feature: FeatureKind | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    limits: Limits | dict[str, Any] = DEFAULT_LIMITS,
    errors: Literal["raise", "return"] = "raise",
    quiet: bool = False,
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
            is a video; other animations, as of WebP, are refused.
        backbone: A run, a backbone folder, a timm name, ``random:NAME``, or what ``load_frozen``
            returned, which saves loading it each time. The default is runs/latest, or timm's
            pretrained ResNet-50.
        pool: ``mean`` or ``max`` over the frames of each video, which then has one row.
        normalize: Give features of unit length.
        size: Input size in pixels. The default is the backbone's own.
        crop_mode: ``center`` or ``squash``. The default is the backbone's own.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: Arithmetic of the backbone.
        feature: What a row is, as in ``load_frozen``: ``pooled`` (D,), the default; ``cls`` (D,),
            the class token; or ``patches`` (P, D), patch tokens or the places of the last map.
        batch_size: Frames in one pass. The default is 64 on a CPU, and what fits on a GPU.
        workers: Processes that decode.
        limits: What a video may be, and what reading it may cost, as in ``pretrain``:
            ``{"max_duration": 9e4}``.
        errors: What becomes of a ``VideoError`` of one of several videos: ``return`` puts it in its
            place in the list.
        quiet: Print nothing.
        **frames: Which frames of a video to take, as ``FrameSelection`` has them: ``fps``,
            ``every``, ``num_frames``, ``keyframes``, ``scenes``, ``times``, ``start``, ``end``.
            Times are seconds, or texts such as "1:02.5" and "1:02:03". Rows are in the order of
            ``times``, and else in that of the video.

    Returns:
        (features, times): float32 (T, D), of patches (T, P, D), and float64 (T,) in seconds from
        the first shown frame.
        Of several paths of videos, a list of such pairs. Of pictures and of arrays it is one pair,
        in their order, whose times are their numbers.

    Raises:
        ConfigError: A setting or the backbone cannot be used.
        VideoError: A video cannot be read.
        DataError: A picture cannot be read.
    """
    if errors not in ("raise", "return"):
        raise ConfigError(f"errors is {errors!r}; it must be 'raise' or 'return'.")
    kind = {} if feature is None else {"feature": feature}
    # ``extract`` knows what each may be, and what fits together.
    command = from_python(
        ExtractCommand,
        {
            "videos": ["-"],
            "output": "-",
            "frames": selection_of(frames, call=embed),
            "pool": pool,
            "normalize": normalize,
            "size": size,
            "crop_mode": crop_mode,
            "device": device,
            "precision": precision,
            **kind,
            "batch_size": batch_size,
            "workers": workers,
            "limits": limits,
        },
    )
    pictures, paths = pictures_or_videos(videos)
    console = Console(stderr=True, quiet=quiet)
    frozen = frozen_of(
        backbone,
        device=command.device,
        size=command.size,
        crop_mode=command.crop_mode,
        precision=command.precision,
        **kind,
    )
    if pictures is not None:
        others = [*frames, *["pool"] * (command.pool != "none"), *["errors"] * (errors != "raise")]
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
            console=console,
        )
    is_one = isinstance(videos, str | os.PathLike) and paths == (absolute(Path(videos)),)
    if errors == "return" and is_one:
        raise ConfigError("errors='return' is for a list of videos. Give one, or leave it out.")
    found = _embed_videos(frozen, paths, command, errors == "return", console)
    return found[0] if is_one else found


def _embed_videos(
    frozen: FrozenBackbone,
    paths: Sequence[Path],
    command: ExtractCommand,
    keeps_errors: bool,
    console: Console,
) -> list[Features | VideoError]:
    """Return the features of each video, or the error if those are kept."""
    found: list[Any] = look_up(
        paths, workers=command.workers, progress=not console.quiet, limits=command.limits
    )
    refused = [one for one in found if isinstance(one, VideoError)]
    if refused and not keeps_errors:
        raise refused[0]
    places = [place for place, one in enumerate(found) if isinstance(one, VideoInfo)]
    stream = stream_features(
        frozen,
        [(found[place], command.frames) for place in places],
        pool=command.pool,
        normalize=command.normalize,
        batch_size=command.batch_size,
        limits=command.limits,
        workers=command.workers,
    )
    # A notebook keeps what was interrupted, and so its processes.
    with closing(stream), ProgressBar(console, "embed", total=len(places), unit="videos") as bar:
        for place, one in zip(places, bar.track(stream), strict=True):
            try:
                rows = one.read()
                found[place] = rows if command.pool != "none" else as_asked(rows, command.frames)
            except VideoError as error:
                if not keeps_errors:
                    raise
                found[place] = error
    return found


def as_asked(
    rows: tuple[np.ndarray, np.ndarray], frames: FrameSelection
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of ascending times in the order of the ``times`` that were asked for.

    Where damaged frames are left out there are fewer, whose order stays.
    """
    end = math.inf if frames.end is None else frames.end
    asked = [time for time in frames.times if frames.start <= time < end]
    values, times = rows
    if len(asked) != len(times):
        return rows
    places = np.argsort(np.argsort(asked, kind="stable"), kind="stable")
    return values[places], times[places]


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
