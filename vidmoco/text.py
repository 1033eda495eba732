"""Texts made fit to be shown: those of strangers (names of files, labels, reasons), and counts.

What is not printable becomes an escape, so that a terminal obeys none of it and a line stays one.
"""

from collections.abc import Sequence


def escaped(text: object) -> str:
    """Return ``str(text)`` with escapes for what is not printable, such as ESC and newlines."""
    characters = (c if c.isprintable() else _escape(c) for c in str(text))
    return "".join(characters)


def in_ascii(text: object) -> str:
    """Return ``escaped(text)`` with escapes for all but ASCII: the pictures' font has no more."""
    return escaped(text).encode("ascii", "backslashreplace").decode()


def counted(number: int, noun: str) -> str:
    """Return ``1 video``, ``2 videos`` or ``1,000 videos`` of the noun ``video``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def first_of(names: Sequence[str], most: int = 3) -> str:
    """Return ``'a', 'b', 'c' and 4 more`` of seven names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
