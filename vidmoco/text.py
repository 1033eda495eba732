"""Make texts from strangers (file names, labels, reasons) safe to print, and format counts.

Unprintable characters become escapes, so that no text controls the terminal or breaks a line.
"""

from collections.abc import Sequence

_LONGEST = 4000  # characters of an error


def escaped(text: object) -> str:
    """Return ``str(text)`` with escapes for unprintable characters, such as ESC and newlines."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def error_line(error: object) -> str:
    """Return what the command line prints of an error: one line, cut if it is very long."""
    text = escaped(error)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def in_ascii(text: object) -> str:
    """Return ``escaped(text)`` with escapes for all but ASCII, which is all the fonts have."""
    return escaped(text).encode("ascii", "backslashreplace").decode()


def counted(number: int, noun: str) -> str:
    """Return ``1 video``, ``2 videos`` or ``1,000 videos`` of the noun ``video``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def first_of(names: Sequence[str], most: int = 3) -> str:
    """Return ``'a', 'b', 'c' and 4 more`` of seven names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
