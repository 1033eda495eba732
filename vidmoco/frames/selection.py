"""Drop frames that are black, blurred, or like the one before."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidmoco.shapes import Float, UInt8

# As in FFmpeg's blackdetect: a pixel is black below a tenth of full brightness, and a picture if 98
# of 100 pixels are.
_BLACK_PIXEL, _BLACK_SHARE = 0.10 * 255, 0.98
# Side of the thumbnails that are compared, on which coding noise averages out.
_THUMBNAIL = 32


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The frames to drop."""

    black: bool = False
    """Drop black frames."""
    min_sharpness: float = 0.0
    """Drop frames whose Laplacian has a smaller variance, on grey levels from 0 to 255 at the size
    of the kept frames (Pech-Pacheco et al. 2000). 100 is a common choice."""
    min_change: float = 0.0
    """Drop frames whose thumbnail differs less from that of the last kept frame, in mean grey
    levels."""


def select_frames(
    frames: Iterator[tuple[float, UInt8[Tensor, "3 h w"]]],
    selection: Selection,
    dropped: dict[str, int],
) -> Iterator[tuple[float, UInt8[Tensor, "3 h w"]]]:
    """Yield the kept frames, and count the others in ``dropped`` by reason."""
    if selection == Selection():
        yield from frames
        return
    last: Tensor | None = None
    for seconds, picture in frames:
        gray = _gray(picture)
        thumbnail = F.interpolate(gray[None, None], size=(_THUMBNAIL, _THUMBNAIL), mode="area")
        reason = ""
        if selection.black and is_black(gray):
            reason = "black"
        elif sharpness(gray) < selection.min_sharpness:
            reason = "blurred"
        elif last is not None and float((thumbnail - last).abs().mean()) < selection.min_change:
            reason = "unchanged"
        if reason:
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        last = thumbnail
        yield seconds, picture


def is_black(gray: Float[Tensor, "h w"]) -> bool:
    """Return whether a picture (grey levels from 0 to 255) is black."""
    return float((gray < _BLACK_PIXEL).float().mean()) >= _BLACK_SHARE


def sharpness(gray: Float[Tensor, "h w"]) -> float:
    """Return the variance of the Laplacian of a picture (grey levels from 0 to 255)."""
    if min(gray.shape) < 3:
        return 0.0
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    return float(F.conv2d(gray[None, None], kernel[None, None]).var(correction=0))


def _gray(picture: UInt8[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    weights = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601
    return torch.einsum("chw,c->hw", picture.float(), weights)
