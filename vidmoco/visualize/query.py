"""The query of a search: an image, or the frame of a video at a given time."""

import math
import re
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from PIL import Image

from vidmoco.backbones.folder_config import MAX_SIDE
from vidmoco.backbones.frozen import FrozenBackbone, load_frozen
from vidmoco.backbones.offline import without_network
from vidmoco.backbones.preprocess import resize_and_crop
from vidmoco.backbones.tokens import FeatureKind
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.device import resolve_device
from vidmoco.distributed import own_gpu
from vidmoco.errors import CheckpointError, ConfigError, DataError, VideoError, VidmocoError
from vidmoco.features.feature_rows import unit_rows
from vidmoco.features.feature_set import FeatureSet
from vidmoco.features.kept_settings import describe_backbone
from vidmoco.images.decode import decode_image
from vidmoco.shapes import Float32, UInt8
from vidmoco.text import seconds_of
from vidmoco.urls import expanded
from vidmoco.video.files import VIDEO_SUFFIXES
from vidmoco.video.open_catalog import open_videos
from vidmoco.video.requests import Request, read_requests

_HOW = "Give an image, or a video and a time in seconds: clip.mp4@12.5 or clip.mp4@0:12.5"

_LIKE_A_PATH = re.compile(r"[/\\@]|\.\w{1,5}$|^[.~]")  # a folder, a time or a suffix


@dataclass(frozen=True, eq=False)
class Query:
    """The image that is searched for."""

    name: str
    pixels: UInt8[np.ndarray, "h w 3"]
    seconds: float | None = None
    """Pts of a frame; None for an image."""
    aspect_ratio: float | None = None
    """Display width / height if pixels are not square, else None."""

    @property
    def picture(self) -> Image.Image:
        """The image with square pixels."""
        image = Image.fromarray(self.pixels)
        if self.aspect_ratio is None:
            return image
        return image.resize((max(1, round(image.height * self.aspect_ratio)), image.height))


def read_query(text: str, *, limits: Limits = DEFAULT_LIMITS) -> Query:
    """Return the image or frame that ``--query`` names.

    Args:
        text: the path of an image, or the path of a video, ``@`` and a time from its first shown
            frame (see ``seconds_of``).
        limits: of the video.

    Raises:
        ConfigError: there is no such file, or no such time.
        DataError: the image cannot be read.
        VideoError: the video cannot be read.
    """
    path = expanded(Path(text))
    name, _, time = text.rpartition("@")
    if path.is_file():  # its name may contain an @
        if path.suffix.lower() in VIDEO_SUFFIXES - {".gif"}:
            raise ConfigError(f"--query {text} is a video without a time. {_HOW}")
        try:
            image = decode_image(path.read_bytes())
        except DataError as error:
            raise DataError(f"--query {text} cannot be read as an image: {error}. {_HOW}") from None
        except OSError as error:
            raise ConfigError(f"--query {text} cannot be read: {error.strerror}.") from error
        return Query(path.name, rearrange(image, "c h w -> h w c").numpy())
    video = expanded(Path(name))
    if not name or not video.is_file():
        if path.is_dir():
            raise ConfigError(f"--query {text} is a folder. {_HOW}")
        if not _LIKE_A_PATH.search(text):
            raise ConfigError(
                f"--query {text!r} is no file, and features of images know no words. {_HOW}"
            )
        raise ConfigError(f"--query {text} does not exist. {_HOW}")
    try:
        seconds = seconds_of(time)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ConfigError(f"--query {text}: {time!r} is no time from 0 on. {_HOW}")
    return _frame_of(video, seconds, limits=limits)


def _frame_of(path: Path, seconds: float, *, limits: Limits) -> Query:
    (info,) = open_videos([path], limits=limits)
    if seconds >= info.duration_seconds:
        raise ConfigError(
            f"--query {path}@{seconds:g} is beyond the end of the video, which lasts "
            f"{info.duration_seconds:.3f} s."
        )
    (answer,) = read_requests([Request(info, (seconds,))], limits=limits)
    if answer.failure:
        raise VideoError(f"{path}: {answer.failure}.")
    return Query(
        path.name,
        answer.images[0],
        seconds=answer.pts_seconds[0],
        aspect_ratio=info.aspect_ratio if info.sample_aspect_ratio != 1 else None,
    )


def backbone_of(
    features: FeatureSet, *, backbone: str | None = None, device: str = "auto"
) -> FrozenBackbone:
    """Load the backbone that made some features.

    Args:
        features: their sidecars name the backbone.
        backbone: its path or name; None means that of the sidecar.
        device: to compute on.

    Raises:
        ConfigError: it is another backbone, or its preprocessing differs.
        CheckpointError: it cannot be loaded.
    """
    where = own_gpu(resolve_device(device))  # here, so that its errors do not blame the backbone
    sidecar = features.files[0].sidecar
    source = backbone or str(sidecar["backbone"])
    try:
        size = int(sidecar["preprocess"]["size"])
        if not 1 <= size <= MAX_SIDE:
            raise ValueError(f"its input has {size} px, expected at most {MAX_SIDE}.")
        crop_mode = sidecar["preprocess"]["crop_mode"]
        precision: Literal["bf16", "fp32"]
        precision = "bf16" if sidecar.get("precision") == "bf16" else "fp32"
        feature: FeatureKind = "cls" if sidecar.get("feature") == "cls" else "pooled"
        # A sidecar may be a stranger's: what it names is not downloaded.
        with without_network() if backbone is None else nullcontext():
            frozen = load_frozen(
                source, size=size, crop_mode=crop_mode, precision=precision, feature=feature
            )
    except (KeyError, TypeError, ValueError, VidmocoError) as error:
        if backbone is not None and isinstance(error, VidmocoError):
            raise
        raise CheckpointError(
            f"The backbone of these features, {source}, cannot be loaded: {error} Give its current "
            "place or name with --backbone."
        ) from error
    given, expected = describe_backbone(frozen.provenance), describe_backbone(sidecar)
    if given != expected or frozen.dim != features.dim:
        raise ConfigError(
            f"{source} did not make these features: it is {given}, they are of {expected}. Give "
            "the right --backbone, or extract the features again with this one."
        )
    frozen.move_to(where)
    return frozen


def feature_of(frozen: FrozenBackbone, query: Query) -> Float32[np.ndarray, " d"]:
    """Return the feature of a query as the extraction computes it, of unit length."""
    image = rearrange(torch.from_numpy(query.pixels), "h w c -> c h w")
    images = resize_and_crop(image, frozen.preprocess, aspect_ratio=query.aspect_ratio)
    features = frozen.features(images[None].to(frozen.device)).cpu().numpy()
    unit = unit_rows(features, place=f"--query {query.name}")
    return unit.reshape(-1)
