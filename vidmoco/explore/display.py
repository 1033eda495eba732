"""How this room shows things: colours and distances, escaped texts, times, saved pictures."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console

from vidmoco.contact_sheet import in_ascii
from vidmoco.errors import ConfigError

TEXT, QUIET, RULE, MARK = "#202124", "#5f6368", "#d5d8dc", "#c5221f"
MARGIN, SPACE = 24, 12  # pixels
_MAX_LINES = 10


def plain(text: object) -> str:
    """Return a text for a picture, in printable ASCII: the font has no more."""
    return in_ascii(str(text))


def printable(text: object) -> str:
    """Return a text that a stranger may have written for the terminal, which obeys none of it."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return "".join(escaped)


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


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a picture, whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(part, format="PNG")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"The picture cannot be written to {path}: {error}.") from error
