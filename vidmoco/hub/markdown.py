"""Markdown in which names from strangers stay text."""

import re
from collections.abc import Sequence

from vidmoco.text import escaped

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#+!|~$&@^]")
# What begins a list, and addresses that become links.
_AT_PLACES = re.compile(r"^-|:(?=//)|(?<=www)\.", re.IGNORECASE)
_FOLDERS = re.compile(r"(?<![\w./-])~?/+(?:[^\s/,;'\"]+/)+")


def text(value: object) -> str:
    """Return ``value`` as Markdown that shows just these characters, in one line."""
    plain = re.sub(r"^(\d+)([.)] )", r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", escaped(value)))
    return _AT_PLACES.sub(r"\\\g<0>", plain)


def without_folders(value: str) -> str:
    """Return a text with the last part of each absolute path in it: where data lies is private."""
    return _FOLDERS.sub("", value)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown; all columns but the first are to the right."""
    ruler = [":--", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows))


def code_block(code: str, language: str = "") -> str:
    """Return a block of code, whatever is in it."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"
