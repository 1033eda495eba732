"""The demo's picture: what each backbone finds similar to unseen images, and its score.

The queries are at the left. Then comes a panel per backbone with the nearest training images of
each query, framed green if they are of the query's class and red if not. The k-NN accuracies are
bars at the right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidmoco.errors import ConfigError
from vidmoco.shapes import Bool, UInt8

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RIGHT, _WRONG = "#1a9641", "#d7301f"
_BARS = ("#9aa0a6", "#7b9fcb", "#1a5fb4")  # the last panel, the result, is the strongest
_TEXT, _QUIET = "#202124", "#5f6368"
_TILE = 128  # pixels of a drawn image; its frame is inside
_FRAME = 9
_GAP = 10


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One backbone in the picture."""

    name: str
    """Its title, which may have two lines."""
    neighbours: UInt8[np.ndarray, "q k h w 3"]
    """The k nearest training images of each of q queries, nearest first."""
    correct: Bool[np.ndarray, "q k"]
    """Whether a neighbour is of the query's class."""
    top1: float
    """k-NN top-1 over the whole held-out set, in percent."""


def draw_demo_picture(
    path: Path,
    *,
    queries: UInt8[np.ndarray, "q h w 3"],
    panels: Sequence[Panel],
    title: str,
    caption: str,
    chance: float,
) -> None:
    """Draw a PNG of ``queries`` and a panel per backbone.

    Args:
        path: the file to write; its folder is made.
        queries: held-out images, one per row.
        panels: the backbones; each has as many rows as there are queries.
        title: the line at the top.
        caption: the lines at the bottom.
        chance: the accuracy of guessing in percent, drawn as a line.

    Raises:
        ConfigError: matplotlib is not installed, or a panel does not fit the queries.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "The demo draws its picture with matplotlib, which is not installed. Run: "
            "pip install 'vidmoco[eval]'"
        ) from error
    _check(queries, panels)
    num_rows = len(queries)
    # In tiles of 0.64 inch. The narrow column leaves room for the numbers beside the bars.
    widths = [1.0] + [panel.neighbours.shape[1] for panel in panels] + [0.1, 4.8]
    figure = Figure(figsize=(0.64 * (sum(widths) + 0.5 * len(widths)), 0.63 * num_rows + 2.2))
    FigureCanvasAgg(figure)  # no window, no global state
    height = figure.get_size_inches()[1]
    columns = figure.subplots(
        1,
        len(widths),
        width_ratios=widths,
        gridspec_kw={
            "left": 0.025,
            "right": 0.985,
            "top": 1 - 1.25 / height,
            "bottom": 0.85 / height,
            "wspace": 0.13,
        },
    )
    everything_right = np.ones((num_rows, 1), dtype=bool)
    _draw_tiles(columns[0], queries[:, None], correct=everything_right, frame=_TEXT)
    columns[0].set_title("Query", fontsize=12, fontweight="bold", color=_TEXT, pad=10)
    for axes, panel in zip(columns[1:-2], panels, strict=True):
        _draw_tiles(axes, panel.neighbours, correct=panel.correct, frame=_RIGHT)
        share = 100 * panel.correct.mean()
        axes.set_title(panel.name, fontsize=12, fontweight="bold", color=_TEXT, pad=10)
        axes.set_xlabel(f"{share:.0f}% of these are right", fontsize=10, color=_QUIET, labelpad=6)
    columns[-2].set_axis_off()
    _draw_bars(columns[-1], panels, chance=chance)
    figure.text(0.025, 1 - 0.38 / height, title, fontsize=17, fontweight="bold", color=_TEXT)
    figure.text(0.025, 0.12 / height, caption, fontsize=9.5, color=_QUIET, linespacing=1.4)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white")


def _check(queries: UInt8[np.ndarray, "q h w 3"], panels: Sequence[Panel]) -> None:
    if len(queries) == 0 or len(panels) == 0:
        raise ConfigError(
            f"There are {len(queries)} queries and {len(panels)} panels; the picture needs at "
            "least one of each."
        )
    for panel in panels:
        rows, neighbours = panel.neighbours.shape[:2]
        if rows != len(queries) or panel.correct.shape != (rows, neighbours) or neighbours == 0:
            raise ConfigError(
                f"Panel {panel.name!r} has neighbours of shape {panel.neighbours.shape} and "
                f"`correct` of shape {panel.correct.shape}; expected {len(queries)} rows in both, "
                "with as many columns."
            )


def _draw_tiles(
    axes: "Axes",
    images: UInt8[np.ndarray, "q k h w 3"],
    *,
    correct: Bool[np.ndarray, "q k"],
    frame: str,
) -> None:
    """Draw a grid of images, framed in ``frame`` if correct, else in red, faded and crossed."""
    step = _TILE + _GAP
    rows, columns = correct.shape
    axes.set_xlim(-_GAP / 2, columns * step - _GAP / 2)
    axes.set_ylim(rows * step - _GAP / 2, -_GAP / 2)
    axes.set_aspect("equal", adjustable="box", anchor="N")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    inner = _FRAME, _TILE - _FRAME
    for row, column in np.ndindex(rows, columns):
        x, y = column * step, row * step
        right = bool(correct[row, column])
        colour = frame if right else _WRONG
        axes.fill([x, x + _TILE, x + _TILE, x], [y, y, y + _TILE, y + _TILE], color=colour, lw=0)
        picture = images[row, column]
        axes.imshow(
            picture if right else picture // 2 + 128,
            extent=(x + inner[0], x + inner[1], y + inner[1], y + inner[0]),
            interpolation="bicubic",
            zorder=2,
            aspect="equal",
        )
        if not right:  # for readers who cannot tell red from green
            corner = x + _TILE - 20, y + 20
            axes.plot(*corner, "s", ms=9, color=_WRONG, mew=0, zorder=3)
            axes.plot(*corner, "x", ms=5, color="white", mew=1.6, zorder=4)
    # imshow resets the limits to its own image.
    axes.set_xlim(-_GAP / 2, columns * step - _GAP / 2)
    axes.set_ylim(rows * step - _GAP / 2, -_GAP / 2)


def _draw_bars(axes: "Axes", panels: Sequence[Panel], *, chance: float) -> None:
    """Draw a bar per backbone with its score, and the line of chance."""
    places = np.arange(len(panels))
    scores = [panel.top1 for panel in panels]
    quieter = [_BARS[min(place, len(_BARS) - 2)] for place in places[:-1]]
    bars = axes.bar(places, scores, width=0.62, color=[*quieter, _BARS[-1]])
    axes.bar_label(bars, fmt="%.1f", fontsize=13, fontweight="bold", color=_TEXT, padding=3)
    axes.axhline(chance, color=_QUIET, lw=1, ls=(0, (4, 3)))
    axes.text(len(panels) - 0.08, chance + 1, "chance", fontsize=9, color=_QUIET, ha="right")
    axes.set_title("k-NN top-1, %", fontsize=12, fontweight="bold", color=_TEXT, pad=10)
    axes.set_xticks(places, [panel.name for panel in panels], fontsize=9, color=_TEXT)
    axes.set_xlim(-0.5, len(panels) - 0.05)
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 20))
    axes.tick_params(length=0, labelcolor=_TEXT, labelsize=9)
    axes.grid(axis="y", color="#e3e5e8", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
