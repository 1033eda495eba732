"""What vidmoco raises, so that a caller can catch one class.

    VidmocoError
    ├── ConfigError       a setting, flag, recipe or path that cannot be used (also a ValueError)
    ├── VideoError        a video that cannot be read
    ├── CheckpointError   a checkpoint or backbone that cannot be loaded
    ├── DataError         labelled data that cannot be used
    └── TrainingError     a run that cannot go on (a loss that is not finite)

A message says what was given, what was expected and what to do. The command line prints it in one
line and exits with 2; nothing else of vidmoco decides an exit code.
"""

import difflib
from collections.abc import Iterable


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


def is_hunger(error: Exception) -> bool:
    """Return whether an error of Python's or torch's says that no memory is to be had."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # torch
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name nearest to ``name``, or ``""``."""
    by_small_letters = {one.lower(): one for one in known}  # mnist is meant to be MNIST
    matches = difflib.get_close_matches(name.lower(), by_small_letters, n=1, cutoff=0.5)
    return f" Did you mean {by_small_letters[matches[0]]!r}?" if matches else ""
