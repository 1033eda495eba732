"""Pictures as Python has them: of PIL, arrays, tensors and image files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.backbones.preprocess import resize_and_crop
from vidmoco.errors import ConfigError, DataError
from vidmoco.features.stream import of_unit_length
from vidmoco.images.decode import decode_image, is_animation, rgb_of
from vidmoco.images.suffixes import IMAGE_SUFFIXES
from vidmoco.progress import ProgressBar
from vidmoco.shapes import Float32, Float64, UInt8
from vidmoco.urls import absolute_paths, are_several
from vidmoco.video.files import VIDEO_SUFFIXES, begins_like_video

Picture: TypeAlias = Image.Image | np.ndarray | Tensor
"""Of PIL, or uint8 RGB: (H, W, 3) or (3, H, W)."""
_IN_MEMORY = (Image.Image, np.ndarray, Tensor)
_FILES = IMAGE_SUFFIXES - VIDEO_SUFFIXES  # a GIF is a video


def pictures_or_videos(given: Any) -> tuple[list[Picture | Path] | None, tuple[Path, ...]]:
    """Return the pictures that ``embed`` is given, or None and the paths of its videos.

    An array or tensor of four axes is its pictures. A path is that of a picture by its suffix.

    Raises:
        ConfigError: there are pictures and videos, something else, or a file is not there.
    """
    if isinstance(given, np.ndarray | Tensor) and given.ndim != 3:
        _require_rgb(given, "The array", ndim=4)
        return list(given), ()
    is_one = isinstance(given, _IN_MEMORY) or not are_several(given)
    found: list[Picture | Path] = []
    for one in [given] if is_one else given:
        found += [one] if isinstance(one, _IN_MEMORY) else absolute_paths((one,))
    files = [one for one in found if isinstance(one, Path)]
    # An AVIF may be either.
    videos = [p for p in files if p.suffix.lower() not in _FILES or begins_like_video(p)]
    if len(videos) == len(found):
        return None, tuple(videos)
    if videos:
        raise ConfigError(
            f"There are pictures, and {videos[0]}, a video, whose rows are several. Give the "
            "pictures and the videos in calls of their own."
        )
    for path in files:
        if not path.is_file():
            raise ConfigError(f"There is no picture {path}.")
    return found, ()


def rgb_picture(given: Picture | Path, name: str) -> UInt8[Tensor, "3 h w"]:
    """Return a picture as RGB, on the CPU; files and those of PIL as ``decode_image`` does.

    Args:
        given: A picture, or the path of one.
        name: What errors call it; a path is called by itself.

    Raises:
        ConfigError: It is of another type or shape, or the file cannot be opened.
        DataError: It is damaged, or its pixels have no known range.
    """
    if isinstance(given, np.ndarray | Tensor):
        _require_rgb(given, name, ndim=3)
        if isinstance(given, np.ndarray):
            # A copy: torch takes no negative strides, as frame[..., ::-1] of OpenCV's BGR has them.
            given = torch.from_numpy(given.copy())
        image = given.detach().cpu()
        return image.permute(2, 0, 1) if image.shape[2] == 3 else image
    if isinstance(given, Path):
        name = str(given)
    try:
        if isinstance(given, Image.Image):
            return rgb_of(given)
        data = given.read_bytes()
        if data and is_animation(data):
            raise DataError("it is an animation; convert it to an MP4 or a GIF, a video here")
        return decode_image(data)
    except DataError as error:
        raise DataError(f"{name} cannot be read as an image: {error}.") from error
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}.") from error


def _require_rgb(given: np.ndarray | Tensor, name: str, *, ndim: int) -> None:
    is_rgb = given.ndim == ndim and 3 in (given.shape[-1], given.shape[-3])
    dtype = str(given.dtype).removeprefix("torch.")
    if not is_rgb or dtype != "uint8" or 0 in given.shape[-3:]:
        many = "N, " * (ndim == 4)
        raise ConfigError(
            f"{name} is {dtype} {tuple(given.shape)}; expected uint8 ({many}H, W, 3) or "
            f"({many}3, H, W), RGB."
        )


def embed_pictures(
    frozen: FrozenBackbone,
    pictures: Sequence[Picture | Path],
    *,
    batch_size: int,
    normalize: bool,
    console: Console,
) -> tuple[Float32[np.ndarray, "n *d"], Float64[np.ndarray, " n"]]:
    """Return the features of pictures of any sizes, and their numbers, in their order.

    Args:
        frozen: The backbone, on its device.
        pictures: Those of ``pictures_or_videos``. They are read a batch at a time.
        batch_size: Pictures in one pass.
        normalize: Divide each feature by its length.
        console: Shows progress.

    Raises:
        ConfigError: A picture has another type or shape, or cannot be opened.
        DataError: One is damaged.
    """
    features = [np.zeros((0, *frozen.row_shape), np.float32)]
    with ProgressBar(console, "embed", total=len(pictures), unit="pictures") as bar:
        for start in range(0, len(pictures), batch_size):
            images = [
                resize_and_crop(rgb_picture(one, f"Picture {number}"), frozen.preprocess)
                for number, one in enumerate(pictures[start : start + batch_size], start)
            ]
            inputs = torch.stack(images).to(frozen.device)
            features.append(frozen.features(inputs).cpu().numpy())
            bar.advance(len(images))
    rows = np.concatenate(features)
    return of_unit_length(rows) if normalize else rows, np.arange(len(rows), dtype=np.float64)
