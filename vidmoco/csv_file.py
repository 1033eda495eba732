"""Read CSV files that users give."""

import csv
import io
from pathlib import Path
from typing import Any

from vidmoco.errors import ConfigError
from vidmoco.text import read_text


def read_csv(path: Path, *, what: str) -> tuple[list[dict[str | Any, str | Any]], list[str]]:
    """Return the rows of a CSV file with a header, and its columns.

    A row with too few or too many fields has ``None`` among its values or keys, as
    ``csv.DictReader`` has it.

    Args:
        path: The file, in UTF-8, or in UTF-16 with its mark.
        what: What it holds, for the error.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, what=what), newline=""))
        return list(reader), list(reader.fieldnames or [])
    except csv.Error as error:
        raise ConfigError(f"Cannot read the {what} {path}: {error}.") from error
