"""The errors that vidmoco raises; a caller can catch them all by one class.

    VidmocoError
    ├── ConfigError       a setting, flag, recipe or path that cannot be used (also a ValueError)
    ├── VideoError        a video that cannot be read
    ├── CheckpointError   a checkpoint or backbone that cannot be loaded
    ├── DataError         labelled data that cannot be used
    └── TrainingError     a run that cannot go on (a loss that is not finite)

A message says what was given, what was expected and what to do. The command line prints it in one
line and exits with 2. No other part of vidmoco decides an exit code.
"""

import difflib
import errno
from collections.abc import Iterable, Sequence


class VidmocoError(Exception):
    """Every error that vidmoco raises on purpose."""


class ConfigError(VidmocoError, ValueError):
    """A setting, flag, recipe or path that cannot be used."""


class VideoError(VidmocoError):
    """A video that cannot be read."""


class CheckpointError(VidmocoError):
    """A checkpoint or backbone that cannot be loaded."""


class DataError(VidmocoError):
    """Labelled data that cannot be used."""


class TrainingError(VidmocoError):
    """A run that cannot go on."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of Python, the system or torch says that memory is used up."""
    if isinstance(error, RuntimeError):  # of torch: on the CPU, and on a GPU
        return any(words in str(error) for words in ("can't allocate memory", "out of memory"))
    return isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM


def no_column(table: object, name: str, columns: Sequence[str]) -> str:
    """Return a sentence that says that a table lacks a column, and those that it has."""
    return (
        f"{table} has no column {name!r}.{nearest(name, columns)} Its columns: "
        f"{', '.join(columns)}."
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name nearest to ``name``, or ``""``."""
    by_lower_case = {one.lower(): one for one in known}  # so that mnist finds MNIST
    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f" Did you mean {by_lower_case[matches[0]]!r}?" if matches else ""
