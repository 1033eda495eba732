"""Read JSON that a stranger may have written: bounded in size and in depth.

``json.loads`` takes any size, and fails at a depth that Python's stack decides.
"""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

MAX_BYTES = 64 * 2**20
"""Of a file: sidecars have some kilobytes. Objects of Python take up to 20 times as much."""
MAX_DEPTH = 64
"""Of lists in lists: sidecars have 5."""


def parse_json(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Return what JSON says.

    Raises:
        ValueError: it is not JSON, or it is nested deeper than ``MAX_DEPTH``.
    """
    too_deep = ValueError(f"it is nested more than {MAX_DEPTH} deep")
    try:
        found = json.loads(text, parse_constant=parse_constant)
    except RecursionError:
        raise too_deep from None
    level: list[Any] = [found]
    for _ in range(MAX_DEPTH + 1):
        level = [one for one in level if isinstance(one, dict | list)]
        if not level:
            return found
        level = [x for one in level for x in (one.values() if isinstance(one, dict) else one)]
    raise too_deep


def read_json(path: Path, *, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Return what a JSON file in UTF-8 says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON, too large, or nested too deeply.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is not a regular file")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    return parse_json(data.decode("utf-8"), parse_constant=parse_constant)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a named pipe has nobody who writes
