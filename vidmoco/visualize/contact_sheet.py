"""The picture of ``vidmoco preview``: one row per pair, and a histogram of the gaps."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from vidmoco.augment.color import IMAGENET_MEAN, IMAGENET_STD
from vidmoco.data.batches import PairBatch
from vidmoco.shapes import Float, Float64, Int64, UInt8
from vidmoco.text import in_ascii
from vidmoco.visualize.change import Change
from vidmoco.visualize.drawing import font, round_step, shortened

_TEXT, _QUIET, _RULE, _ASKED, _ACHIEVED = "#202124", "#5f6368", "#e3e5e8", "#b4bac2", "#1a5fb4"
_MARGIN, _SPACE, _LINE = 24, 12, 20  # pixels
_CONTENT = 760  # least width inside the margins, for the words and the histogram
_TILES = 128, 256  # least and greatest side of a drawn view
_MAX_ASPECT = 2.0  # of a drawn frame at the height of the views; wider ones are drawn lower
_PLOT_HEIGHT, _MAX_BARS = 170, 20


@dataclass(frozen=True)
class ShownPair:
    """The frames of a video that a batch has, and its large views: first the query's, then keys."""

    key: str  # path of the video below its folder
    aspect_ratio: float  # displayed width / height
    pts_seconds: tuple[float, ...]  # of the frames, from the first of the video
    frames: UInt8[Tensor, "f 3 h w"]  # as decoded, on the canvas of the run
    views: Float[Tensor, "v 3 s s"]  # normalised

    @property
    def apart(self) -> str:
        """How far the frames are from each other, in words."""
        span = max(self.pts_seconds) - min(self.pts_seconds)
        if span == 0:
            return "the same frame"
        return f"{span:.3f} s apart" if len(self.frames) == 2 else f"within {span:.3f} s"

    @property
    def view_names(self) -> list[str]:
        """The names of the views."""
        keys = range(1, len(self.views))
        return ["query view", *(f"key view {n}" if len(keys) > 1 else "key view" for n in keys)]

    @property
    def view_pixels(self) -> UInt8[Tensor, "v 3 s s"]:
        """The views as pictures."""
        std, mean = (torch.tensor(n).view(3, 1, 1) for n in (IMAGENET_STD, IMAGENET_MEAN))
        return ((self.views * std + mean).clamp(0, 1) * 255).round().byte()


@dataclass(frozen=True)
class Sample:
    """The first pairs of a run, and their gaps in seconds.

    A gap is between the frames of the query view and of another one: these are a positive pair.
    Requested gaps are between the drawn times, achieved ones between the frames shown then. Images
    have none.
    """

    pairs: list[ShownPair]
    asked_gaps: Float64[np.ndarray, " asked"]
    achieved_gaps: Float64[np.ndarray, " read"]
    failures: dict[int, str]  # rows of videos that could not be read, and why
    change: Change  # by time, and by a crop, of the pairs that were read


def gaps_of(times: Float64[np.ndarray, "n f"], num_views: int) -> Float64[np.ndarray, " gaps"]:
    """Return the gaps between the frames of view 0 and each other view: v shows v modulo F."""
    others = [view % times.shape[1] for view in range(1, num_views)]
    gaps: Float64[np.ndarray, " gaps"] = np.abs(times[:, others] - times[:, :1]).ravel()
    return gaps


def shown_pairs(
    batch: PairBatch, views: Sequence[Tensor], name: Callable[[int], str], *, most: int
) -> list[ShownPair]:
    """Return what the sheet shows of the first ``most`` pairs of a batch.

    Args:
        batch: of the training.
        views: its large views, normalised, (n, 3, s, s) each, on any device.
        name: returns the path of a row of the catalog.
        most: maximum number of pairs.
    """
    shown = torch.stack([view[:most].float().cpu() for view in views], dim=1)
    return [
        ShownPair(
            name(int(batch.rows[n])),
            float(batch.aspect_ratios[n]),
            tuple(batch.pts_seconds[n].tolist()),
            batch.frames[n],
            pair_views,
        )
        for n, pair_views in enumerate(shown)
    ]


def describe_gaps(sample: Sample) -> list[str]:
    """Return two lines of text, the requested gaps and the achieved ones; none for images."""
    if not len(sample.achieved_gaps):
        return []

    def line(name: str, gaps: Float64[np.ndarray, " n"]) -> str:
        least, median, greatest = np.quantile(gaps, [0, 0.5, 1])
        return (
            f"Gap {name}, {len(gaps):,} pairs: min {least:.3f}, median {median:.3f}, "
            f"max {greatest:.3f} s"
        )

    same = np.mean(sample.achieved_gaps == 0)
    asked, achieved = line("asked", sample.asked_gaps), line("achieved", sample.achieved_gaps)
    return [asked, f"{achieved}; the same frame twice: {same:.1%}"]


def count_gaps(
    gaps: Float64[np.ndarray, " n"], *, width: float, num_bars: int
) -> Int64[np.ndarray, " num_bars"]:
    """Return how many gaps are in [0, width), [width, 2 width) ...; the last bar has the rest."""
    bars = np.floor(gaps / width + 1e-6).astype(np.int64)  # 0.3 - 0.1 is not below 0.2
    return np.bincount(np.minimum(bars, num_bars - 1), minlength=num_bars)


def gap_bars(sample: Sample) -> tuple[float, list[Float64[np.ndarray, " bars"]], bool]:
    """Return the bars' width in seconds, and the shares of asked and of achieved gaps in each.

    The last value is whether the last bar also holds longer gaps.
    """
    both = (sample.asked_gaps, sample.achieved_gaps)
    gaps = np.concatenate(both)
    usual = 3 * np.quantile(gaps, 0.95) or gaps.max()  # a few long videos do not crush the rest
    end = float(min(gaps.max(), usual))
    step = round_step(end, most=_MAX_BARS)
    num_bars = max(1, ceil(end / step - 1e-6))
    shares = [count_gaps(g, width=step, num_bars=num_bars) / len(g) for g in both]
    return step, shares, bool(gaps.max() > end)


def draw_sheet(sample: Sample, lines: list[str]) -> Image.Image:
    """Return the picture: ``lines`` of text, a row a pair, and the histogram of the gaps."""
    first, has_gaps = sample.pairs[0], len(sample.achieved_gaps) > 0
    size, (canvas_height, canvas_width) = first.views.shape[-1], first.frames.shape[-2:]
    tile = min(size * ceil(_TILES[0] / size), _TILES[1])
    widest = max(pair.aspect_ratio for pair in sample.pairs)
    box = round(tile * min(max(widest, 1.0), _MAX_ASPECT))
    titles = [f"Frame {n + 1}" for n in range(len(first.frames))]
    widths = [box] * len(titles) + [tile] * len(first.views)
    titles += [name.capitalize() for name in first.view_names]
    content = max(sum(widths) + (len(widths) - 1) * _SPACE, _CONTENT)
    space = (content - sum(widths)) // (len(widths) - 1)
    lefts = [_MARGIN + sum(widths[:n]) + n * space for n in range(len(widths))]
    lines = [
        *lines,
        f"Frames are decoded to {canvas_width} x {canvas_height} pixels and drawn in their true "
        f"shape; views are of {size} x {size} pixels, at {tile / size:.0%}.",
    ]
    lines = [part for line in lines for part in textwrap.wrap(in_ascii(line), content // 8)]
    rows_top = _MARGIN + _LINE * (len(lines) + 3)
    row_height = tile + 3 * _LINE
    gaps_top = rows_top + row_height * len(sample.pairs) + _LINE // 2
    height = gaps_top + _PLOT_HEIGHT + 5 * _LINE + _MARGIN
    sheet = Image.new("RGB", (content + 2 * _MARGIN, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN - 6), "The first pairs of pretrain", _TEXT, font(20))
    for n, line in enumerate(lines):
        draw.text((_MARGIN, _MARGIN + _LINE * (n + 1.2)), line, _QUIET, font())
    for left, title in zip(lefts, titles, strict=True):
        draw.text((left, rows_top - _LINE), title, _TEXT, font(15))
    for n, pair in enumerate(sample.pairs):
        top = rows_top + n * row_height
        draw.line((_MARGIN, top + 3, _MARGIN + content, top + 3), _RULE)
        name = shortened(f"{n + 1}. {in_ascii(pair.key)}", content - 140)
        draw.text((_MARGIN, top + 8), name, _TEXT, font())
        if has_gaps:
            draw.text((_MARGIN + content, top + 8), pair.apart, _TEXT, font(), anchor="ra")
        width = min(box, round(tile * pair.aspect_ratio))
        frame_size = max(1, width), min(tile, max(1, round(width / pair.aspect_ratio)))
        pictures = [picture_of(frame, frame_size) for frame in pair.frames]
        pictures += [picture_of(view, (tile, tile)) for view in pair.view_pixels]
        for left, picture in zip(lefts, pictures, strict=True):
            sheet.paste(picture, (left, top + _LINE + 8))
        for left, time in zip(lefts, pair.pts_seconds if has_gaps else (), strict=False):
            draw.text((left, top + tile + _LINE + 12), f"at {time:.3f} s", _QUIET, font())
    if not has_gaps:
        return sheet.crop((0, 0, sheet.width, gaps_top))
    _draw_gaps(draw, sample, left=_MARGIN, top=gaps_top, width=content)
    return sheet


def _draw_gaps(
    draw: ImageDraw.ImageDraw, sample: Sample, *, left: int, top: int, width: int
) -> None:
    """Draw the histogram of the gaps, asked beside achieved, under its legend."""
    step, shares, has_longer = gap_bars(sample)
    num_bars, highest = len(shares[0]), max(share.max() for share in shares)
    tick = round_step(highest, most=4)
    origin, base = left + 48, top + 3 * _LINE + _PLOT_HEIGHT
    scale = _PLOT_HEIGHT / (tick * ceil(highest / tick - 1e-6))
    for n in range(ceil(highest / tick - 1e-6) + 1):
        y = base - round(n * tick * scale)
        draw.line((origin, y, left + width, y), _RULE)
        draw.text((origin - 8, y), f"{100 * n * tick:g} %", _QUIET, font(12), anchor="rm")
    bar = (left + width - origin) / num_bars
    for n, (colour, text) in enumerate(
        zip((_ASKED, _ACHIEVED), describe_gaps(sample), strict=True)
    ):
        y = top + n * _LINE
        draw.rectangle((left, y + 4, left + 10, y + 14), colour)
        draw.text((left + 18, y), text, _TEXT, font())
        for place, share in enumerate(shares[n].tolist()):
            x = origin + bar * (place + 0.1 + 0.4 * n)
            if share:
                draw.rectangle((x, base - max(1, share * scale), x + 0.4 * bar - 1, base), colour)
    every = ceil(60 / bar)
    for place in range(0, num_bars + 1, every):
        x = origin + bar * place
        draw.text((x, base + 4), f"{place * step:g}", _QUIET, font(12), anchor="ma")
    more = "; the last bar also holds all longer ones" if has_longer else ""
    text = f"gap in seconds{more}; height: share of the pairs"
    draw.text((left + width, base + _LINE), text, _QUIET, font(12), anchor="ra")


def picture_of(pixels: UInt8[Tensor, "3 h w"], size: tuple[int, int]) -> Image.Image:
    """Return a picture, resized to (width, height)."""
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    return image.resize(size, Image.Resampling.BICUBIC)
