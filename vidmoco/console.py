"""What a terminal shows: lines of text as they are, and tables. ``progress`` has the bars."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from vidmoco.text import escaped


def say(console: Console, *lines: object, style: str = "") -> None:
    """Print lines as they are: without markup, highlighting or wrapping.

    Names and reasons may be a stranger's: what is not printable is shown as an escape, newlines
    too, so each of ``lines`` is one line of the terminal.

    Args:
        console: where to; ``Console(stderr=True)`` for what is not a command's result.
        lines: anything with a text.
        style: of rich, such as ``"bold"`` or ``"dim"``.
    """
    for line in lines:
        console.print(Text(escaped(line), style=style), soft_wrap=True)


def say_result(*lines: object) -> None:
    """Print lines of a command's result, to standard output, as ``say`` does."""
    say(Console(), *lines)


def say_first(console: Console, lines: Sequence[str], *, most: int, where: str = "") -> None:
    """Print the first lines of a list, indented, and how many more there are.

    Args:
        console: where to.
        lines: of any number.
        most: of them that are printed.
        where: what has all of them, named where the list is cut.
    """
    say(console, *(f"  {line}" for line in lines[:most]))
    if len(lines) > most:
        more = f"  … and {len(lines) - most:,} more"
        say(console, f"{more}, all in {where}" if where else more)


def wide_console(console: Console | None = None, *, columns: int = 240) -> Console:
    """Return a console for tables, which does not wrap what goes to a file or a pipe.

    Args:
        console: where to; None: standard output.
        columns: of a file or a pipe, at least.
    """
    console = console or Console()
    if console.is_terminal:
        return console
    return Console(file=console.file, width=max(console.width, columns), quiet=console.quiet)
