"""How this room shows things: colours and distances, times, what was left out."""

import math
from collections.abc import Sequence

from rich.console import Console

from vidmoco.text import printable

TEXT, QUIET, RULE, MARK = "#202124", "#5f6368", "#d5d8dc", "#c5221f"
MARGIN, SPACE = 24, 12  # pixels
_MAX_LINES = 10


def shown_seconds(seconds: float) -> str:
    """Return a time to the millisecond, rounded up: asked for again, it gives the same frame.

    A frame is shown from its time on, so a time that is rounded down names the one before.
    """
    return f"{math.ceil(seconds * 1000 - 1e-6) / 1000:.3f}"


def print_left_out(lines: Sequence[str]) -> None:
    """Say on stderr which files were not used."""
    console = Console(stderr=True, highlight=False, markup=False)
    for line in lines[:_MAX_LINES]:
        console.print(f"left out: {printable(line)}", soft_wrap=True)
    if len(lines) > _MAX_LINES:
        console.print(f"left out: {len(lines) - _MAX_LINES:,} more files")


def wide_console() -> Console:
    """Return the console of results, that does not wrap what goes to a file or a pipe."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=max(console.width, 240))
    return console
