"""Draw the scenes of the demo's videos from images that scikit-learn ships.

One handwritten digit (8x8, ``load_digits``) moves, scales and turns over crops of two photographs
(``load_sample_images``). The camera pans and zooms. At least every 0.9 s it cuts to another place,
photograph, mirror and tilt, independent of the digit, so frames further apart share only the digit.
The ink also changes its colour. A backbone that learns what the two frames of a pair share learns
digits; one that learns from single frames may learn the photographs as well.

The held-out instances are the last quarter of the data set, not a random one: its samples are
apparently grouped by writer (scikit-learn's own tests of cross-validation say so), so most of them
should be by other writers.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidmoco.errors import ConfigError
from vidmoco.shapes import Float, Float64, Int64, UInt8

FRAME_SIZE = 64  # pixels; views of the demo are smaller
SHOT_SECONDS = (0.5, 0.9)  # range of the time between two cuts
NUM_HELD_OUT = 449  # a quarter of the 1,797 instances
# Measured: if scenes are harder (smaller, dimmer digits), a minute of training learns nothing; if
# they are easier, an untrained backbone is right as well.
DIGIT_SIZE = (0.55, 0.8)  # share of the frame's side
DIGIT_TURN = 20.0  # degrees to either side, too few to turn a 6 into a 9
DIGIT_REACH = 0.75  # share of the room on either side of the middle that the digit uses
INK = (0.75, 1.0)  # range of red, green and blue
GAIN = (0.3, 0.6)  # range of the brightness of a shot
RIM = 0.8  # opacity of the dark rim
_GLYPH_SIDE = 12  # pixels: the 8 of the data set and a transparent margin


@dataclass(frozen=True, kw_only=True)
class Material:
    """scikit-learn's digits and photographs, ready to be sampled."""

    glyphs: Float[Tensor, "instances 2 g g"]
    """Opacity of the strokes and of the dark rim behind them, 0 to 1."""
    labels: Int64[np.ndarray, " instances"]
    photographs: tuple[tuple[Float[Tensor, "1 3 _ _"], ...], ...]
    """Each photograph at full, half and quarter size, 0 to 1."""


@functools.cache
def load_material() -> Material:
    """Return the digits and photographs, read once.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits, load_sample_images
    except ImportError as error:
        raise ConfigError(
            "The demo makes its videos from scikit-learn's images, and scikit-learn is not "
            "installed. Run: pip install 'vidmoco[eval]'"
        ) from error
    digits = load_digits()
    small = torch.from_numpy(digits.images).float()[:, None] / 16  # 0 to 16 in the data set
    margin = (_GLYPH_SIDE - 8) // 2
    small = F.pad(small, (margin, margin, margin, margin))
    smooth = F.interpolate(small, scale_factor=6, mode="bicubic")
    # From transparent to full ink over 0.4 of the range: sharper than bicubic's edge, still soft.
    strokes = ((smooth - 0.3) / 0.4).clamp(0, 1)
    rims = F.avg_pool2d(F.max_pool2d(strokes, 7, stride=1, padding=3), 5, stride=1, padding=2)
    photographs = [
        torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        for image in load_sample_images().images
    ]
    return Material(
        glyphs=torch.cat([strokes, rims], dim=1),
        labels=digits.target.astype(np.int64),
        photographs=tuple((p, F.avg_pool2d(p, 2), F.avg_pool2d(p, 4)) for p in photographs),
    )


def instances(
    material: Material, *, held_out: bool, digit: int | None = None
) -> Int64[np.ndarray, " n"]:
    """Return the rows of one split of the data set, of one digit or of all."""
    rows = np.arange(len(material.labels))
    chosen = (rows >= len(rows) - NUM_HELD_OUT) == held_out
    if digit is not None:
        chosen &= material.labels == digit
    found: Int64[np.ndarray, " n"] = rows[chosen]
    return found


def render(
    material: Material,
    *,
    instance: int,
    rng: np.random.Generator,
    times: Float64[np.ndarray, " t"],
) -> UInt8[np.ndarray, "t h w 3"]:
    """Return 64x64 frames of one digit that moves over a background.

    ``rng`` determines the scene, independent of ``instance``. ``times`` are ascending seconds.
    """
    background = _draw_background(material.photographs, rng=rng, times=times)
    stroke, rim, ink = _draw_digit(material.glyphs[instance], rng=rng, times=times)
    # The rim keeps light ink legible on light parts of the photograph.
    frames = background * (1 - RIM * rim)
    frames += stroke * (ink[:, None, None] - frames)
    pixels: UInt8[np.ndarray, "t h w 3"] = np.rint(frames * 255).astype(np.uint8)
    return pixels


def _draw_digit(
    glyph: Float[Tensor, "2 g g"], *, rng: np.random.Generator, times: Float64[np.ndarray, " t"]
) -> tuple[Float[np.ndarray, "t h w 1"], Float[np.ndarray, "t h w 1"], Float[np.ndarray, "t 3"]]:
    """Return the opacity of a moving digit's strokes and of its rim, and the ink."""
    size = _sway(rng, *DIGIT_SIZE, times)  # share of the frame's side
    angle = np.deg2rad(_sway(rng, -DIGIT_TURN, DIGIT_TURN, times))
    room = (1 - size) / 2  # from the middle to where the digit would leave the frame
    x, y = (room * _sway(rng, -DIGIT_REACH, DIGIT_REACH, times) for _ in range(2))
    side = size * _GLYPH_SIDE / 8
    opacity = _sample_windows(
        glyph[None],
        centre=(
            0.5 - (np.cos(angle) * x + np.sin(angle) * y) / side,
            0.5 - (np.cos(angle) * y - np.sin(angle) * x) / side,
        ),
        side=1 / side,
        tilt=-angle,
    )
    ink = np.stack([_sway(rng, *INK, times) for _ in range(3)], axis=-1)
    return opacity[..., :1], opacity[..., 1:], ink.astype(np.float32)


def _draw_background(
    photographs: tuple[tuple[Float[Tensor, "1 3 _ _"], ...], ...],
    *,
    rng: np.random.Generator,
    times: Float64[np.ndarray, " t"],
) -> Float[np.ndarray, "t h w 3"]:
    """Return panning, zooming crops of the photographs, in shots of ``SHOT_SECONDS``."""
    shots = []
    end = float(times[0]) - rng.uniform(0, SHOT_SECONDS[0] / 2)
    while end <= times[-1]:
        start, end = end, end + rng.uniform(*SHOT_SECONDS)
        inside = (times >= start) & (times < end)
        if inside.any():
            phase = (times[inside] - start) / (end - start)
            shots.append(_draw_shot(photographs, rng=rng, phase=phase))
    return np.concatenate(shots)


def _draw_shot(
    photographs: tuple[tuple[Float[Tensor, "1 3 _ _"], ...], ...],
    *,
    rng: np.random.Generator,
    phase: Float64[np.ndarray, " t"],
) -> Float[np.ndarray, "t h w 3"]:
    """Return one shot: a window moves over one photograph as ``phase`` goes from 0 to 1."""
    levels = photographs[rng.integers(len(photographs))]
    height, width = levels[0].shape[-2:]
    side = np.exp(rng.uniform(np.log(96), np.log(288), size=2))  # of the window, in pixels
    side = side[0] + phase * np.clip(side[1] - side[0], -0.4 * side[0], 0.4 * side[0])
    # 0.71 is half the diagonal, so a tilted window stays on the photograph.
    tilt, reach = rng.uniform(-0.3, 0.3), 0.71 * side
    centre = []
    for length in (width, height):
        travel = rng.uniform(size=2)
        at = travel[0] + phase * np.clip(travel[1] - travel[0], -0.35, 0.35)
        centre.append(reach + at * (length - 2 * reach))
    # The level at which a pixel of the frame covers about one pixel of the photograph.
    level = int(np.clip(np.floor(np.log2(side.mean() / FRAME_SIZE)), 0, len(levels) - 1))
    shot = _sample_windows(
        levels[level],
        centre=(centre[0] / width, centre[1] / height),
        side=side / width,
        tilt=np.full_like(side, tilt),
        mirror=bool(rng.integers(2)),
    )
    return shot * np.float32(rng.uniform(*GAIN))


def _sample_windows(
    image: Float[Tensor, "1 c h w"],
    *,
    centre: tuple[Float64[np.ndarray, " t"], Float64[np.ndarray, " t"]],
    side: Float64[np.ndarray, " t"],
    tilt: Float64[np.ndarray, " t"],
    mirror: bool = False,
) -> Float[np.ndarray, "t s s c"]:
    """Return a square window of ``image`` per frame, sampled bilinearly, zero outside the image.

    ``centre`` (x, y) is in shares of width and height, ``side`` in shares of the width, ``tilt`` in
    radians.
    """
    height, width = image.shape[-2:]
    steps = (np.arange(FRAME_SIZE) + 0.5) / FRAME_SIZE - 0.5
    u, v = (-steps if mirror else steps)[None, None, :], steps[None, :, None]
    cos, sin = (side * np.cos(tilt))[:, None, None], (side * np.sin(tilt))[:, None, None]
    grid = np.empty((1, len(side) * FRAME_SIZE, FRAME_SIZE, 2), dtype=np.float32)
    x, y = (grid[..., axis].reshape(len(side), FRAME_SIZE, FRAME_SIZE) for axis in (0, 1))
    x[:] = 2 * (centre[0][:, None, None] + cos * u - sin * v) - 1  # -1 to 1 over the image
    y[:] = 2 * (centre[1][:, None, None] + (sin * u + cos * v) * width / height) - 1
    # All frames as one tall image need no copy of ``image`` per frame. torch splits work by images,
    # so this uses one thread, and several videos are made in parallel threads.
    tall = F.grid_sample(image, torch.from_numpy(grid), align_corners=False)[0].numpy()
    return tall.transpose(1, 2, 0).reshape(len(side), FRAME_SIZE, FRAME_SIZE, -1)


def _sway(
    rng: np.random.Generator, low: float, high: float, times: Float64[np.ndarray, " t"]
) -> Float64[np.ndarray, " t"]:
    """Return a value that oscillates between ``low`` and ``high`` with a period of 1.2 to 3 s."""
    turns = rng.uniform(size=1) + times / rng.uniform(1.2, 3.0)
    return (low + high) / 2 + (high - low) / 2 * np.sin(2 * np.pi * turns)
