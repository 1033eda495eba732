"""Shared display settings: colours, distances, times, lists of left-out files."""

import math
from collections.abc import Sequence

from rich.console import Console

from vidmoco.console import say, say_first

TEXT, QUIET, RULE, MARK = "#202124", "#5f6368", "#d5d8dc", "#c5221f"
MARGIN, SPACE = 24, 12  # pixels
_MAX_LINES = 10


def shown_seconds(seconds: float) -> str:
    """Return a time in milliseconds precision, rounded up, so that it names the same frame.

    A frame is shown from its time on, so a time that is rounded down names the previous frame.
    """
    return f"{math.ceil(seconds * 1000 - 1e-6) / 1000:.3f}"


def print_note(line: str) -> None:
    """Print a line to stderr, if there is one."""
    if line:
        say(Console(stderr=True), line)


def print_left_out(lines: Sequence[str]) -> None:
    """Print to stderr which files were not used."""
    console = Console(stderr=True)
    if lines:
        say(console, "Left out:")
        say_first(console, lines, most=_MAX_LINES)
