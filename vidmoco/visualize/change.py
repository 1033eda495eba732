"""How much time changes a picture, beside how much a crop does.

Where the second frame is nearly the first, it teaches nothing that a second crop does not. The
change between two pictures is 1 minus the correlation of their brightness at 16 x 16 pixels: 0 for
equal pictures, 1 for unrelated ones. It does not see colour, exposure or fine detail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vidmoco.augment.color import luma
from vidmoco.augment.views import Augment, build_augment
from vidmoco.config.augment import AugmentConfig
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.shapes import Float, Float32, UInt8

_SIDE = 16  # finer detail moves with every movement of the hand
_FLAT = 1e-3  # length of a picture without any structure
NEARLY_EQUAL = 0.1
"""A second frame counts as nearly the first below this share of a crop's median change."""
# docs/benchmarks.md, "What the second frame adds", has the corpora that these were seen on.
_NOTHING, _MUCH = 0.5, 0.25  # shares of pairs whose second frame is nearly the first
_SMALLEST_CROP = 0.5  # share of the area; smaller crops take away what pairs gain there


@dataclass(frozen=True)
class Change:
    """Changes of many pairs."""

    of_time: Float32[np.ndarray, " pairs"]
    """Between the first frame of each video and the others, from 0 to 2."""
    of_crop: Float32[np.ndarray, " m"]
    """Between two crops of the first frame of each."""

    @property
    def ratio(self) -> float:
        """The mean change by time over the mean change by a crop."""
        return float(self.of_time.mean() / max(self.of_crop.mean(), 1e-6))

    @property
    def share_nearly_equal(self) -> float:
        """The fraction of pairs whose second frame is nearly the first."""
        return float((self.of_time < NEARLY_EQUAL * np.median(self.of_crop)).mean())


def crops_alone(config: AugmentConfig) -> Augment:
    """Return the crops of a training's views, without flips, colours and blur."""
    return build_augment(
        replace(
            config,
            flip_probability=0.0,
            jitter_probability=0.0,
            grayscale_probability=0.0,
            blur_probability=0.0,
            solarize_probability=0.0,
            second_blur_probability=None,
            second_solarize_probability=None,
            small_crops=0,
            shared=(),
        )
    )


def change_of(
    frames: UInt8[Tensor, "n f 3 h w"],
    aspect_ratios: Float[Tensor, " n"],
    crops: Augment,
    generator: torch.Generator,
) -> Change:
    """Return the changes between the first frame and each other, and between two crops of it.

    A pair of views of one frame is left out: only crops change it.
    """
    first, second = crops(frames[:, :1], aspect_ratios, generator)[:2]
    query, *others = frames.float().unbind(1)
    return Change(
        of_time=np.concatenate([difference(query, other).numpy() for other in others]),
        of_crop=difference(first, second).numpy(),
    )


def difference(a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Return 1 minus the correlation of two pictures' brightness at 16 x 16 pixels."""
    a, b = (interpolate(luma(one), size=(_SIDE, _SIDE), mode="area").flatten(1) for one in (a, b))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    lengths = a.norm(dim=1), b.norm(dim=1)
    both_flat = (lengths[0] < _FLAT) & (lengths[1] < _FLAT)  # such as two black pictures
    correlation = (a * b).sum(1) / (lengths[0] * lengths[1]).clamp(min=_FLAT**2)
    change: Tensor = (1 - correlation).masked_fill(both_flat, 0)
    return change


def joined(parts: Sequence[Change]) -> Change:
    """Return the changes of several batches as one."""
    return Change(
        np.concatenate([part.of_time for part in parts]),
        np.concatenate([part.of_crop for part in parts]),
    )


def flags_for_much_change(config: PretrainConfig) -> list[str]:
    """Return the flags that a training lacks which paid where time changes pictures much."""
    flags = []
    if config.method.TAKES_MORE_VIEWS and config.data.frames_per_video == 2:
        flags += ["--data.frames-per-video 4 --augment.large-views 4"]
    if config.augment.crop_scale[0] < _SMALLEST_CROP:
        flags += [f"--augment.crop-scale {_SMALLEST_CROP} 1"]
    return flags


def describe_change(
    change: Change,
    *,
    any_gap: Change | None,
    flags: Sequence[str] = (),
    expects_gain: bool = True,
) -> list[str]:
    """Return lines on what the second frame adds, and on a longer gap or flags that add more.

    Args:
        change: of the training's pairs.
        any_gap: changes of pairs at any distance in a video, if the training's are nearer.
        flags: of ``flags_for_much_change``.
        expects_gain: say what to expect of the training, which another warning may contradict.
    """
    share = change.share_nearly_equal
    lines = [
        f"Change: time changes a picture {change.ratio:.2f} times as much as a crop does "
        f"({change.of_time.mean():.2f} and {change.of_crop.mean():.2f})",
        f"In {share:.0%} of these pairs the second frame is nearly the first"
        + (f": {_expect(share)}" if expects_gain else ""),
    ]
    if any_gap is not None and any_gap.share_nearly_equal < share - 0.05:
        lines.append(
            f"With any gap (--data.max-gap None) it is {any_gap.share_nearly_equal:.0%}, and time "
            f"changes a picture {any_gap.ratio:.2f} times as much as a crop does"
        )
    if flags and share <= _MUCH and expects_gain:
        lines.append(f"Where time changes this much, these do better still: {' '.join(flags)}")
    return lines


def _expect(share: float) -> str:
    if share > _NOTHING:
        return "expect pairs to do as single frames"
    if share > _MUCH:
        return "expect a small gain of pairs over single frames"
    return "expect pairs to do better than single frames"
