"""Print lines and tables to a terminal. ``progress`` has the progress bars."""

from collections.abc import Sequence
from typing import Any

import rich.table
from rich.console import Console, RenderableType
from rich.text import Text

from vidmoco.closed_streams import write_if_read
from vidmoco.text import escaped


class LastingConsole(Console):
    """Standard error for work that outlives its terminal: then it goes on in silence.

    A terminal may be closed, and the reader of a pipe may end, such as ``tee``.
    """

    def __init__(self) -> None:
        super().__init__(stderr=True)

    @property  # type: ignore[misc]
    def file(self) -> Any:
        """Standard error, where what nobody reads any more is no error."""
        return _Lasting(super().file)


class _Lasting:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        write_if_read(self._stream, text)

    def flush(self) -> None:
        write_if_read(self._stream, "")


def say(console: Console, *lines: object, style: str = "") -> None:
    """Print lines without markup, highlighting or wrapping.

    Names and reasons may come from strangers, so unprintable characters are escaped. Newlines are
    too, so each of ``lines`` is one line of the terminal.

    Args:
        console: use ``Console(stderr=True)`` for what is not a command's result.
        lines: anything that ``str`` takes.
        style: a style of rich, such as ``"bold"`` or ``"dim"``.
    """
    for line in lines:
        console.print(Text(escaped(line), style=style), soft_wrap=True)


def say_result(*lines: object) -> None:
    """Print lines of a command's result to standard output, as ``say`` does."""
    say(Console(), *lines)


def say_first(console: Console, lines: Sequence[str], *, most: int, where: str = "") -> None:
    """Print the first ``most`` lines, indented, and how many more there are.

    Args:
        console: the console to print to.
        lines: the whole list.
        most: number of lines that are printed.
        where: what holds the whole list; it is named if the list is cut.
    """
    say(console, *(f"  {line}" for line in lines[:most]))
    if len(lines) > most:
        more = f"  … and {len(lines) - most:,} more"
        say(console, f"{more}, all in {where}" if where else more)


class Table(rich.table.Table):
    """rich's table, whose cells are texts without markup; unprintable characters are escaped."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row of strings, or of ``Text`` with a style of its own."""
        texts = [cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells]
        safe = [Text(escaped(text.plain), style=text.style) for text in texts]
        super().add_row(*safe, **options)


def wide_console(console: Console | None = None, *, columns: int = 240) -> Console:
    """Return a console for tables that does not wrap what goes to a file or a pipe.

    Args:
        console: None means standard output.
        columns: least width of a file or a pipe.
    """
    console = console or Console()
    if console.is_terminal:
        return console
    return Console(file=console.file, width=max(console.width, columns), quiet=console.quiet)
