"""Read CSV files that users give."""

import csv
import io
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vidmoco.errors import ConfigError
from vidmoco.text import read_text
from vidmoco.urls import absolute


def read_csv(path: Path, *, what: str) -> tuple[list[dict[str | Any, str | Any]], list[str]]:
    """Return the rows of a CSV file with a header, and its columns.

    A row with too few or too many fields has ``None`` among its values or keys, as
    ``csv.DictReader`` has it.

    Args:
        path: The file, in UTF-8, or in UTF-16 with its mark. Where its header has no commas, tabs,
            semicolons or bars may part the columns.
        what: What it holds, for the error.

    Raises:
        ConfigError: It cannot be read, has a quotation mark without its partner, which would hide
            the lines below it, or two of its columns have the same name.
    """
    try:
        reader = _reader(path, what=what)
        rows, columns = list(reader), list(reader.fieldnames or [])
    except csv.Error as error:
        advice = ""
        if "limit" not in str(error):
            advice = " A quotation mark may have no partner, or be within a field (write it twice)."
        raise ConfigError(f"Cannot read the {what} {path}: {error}.{advice}") from error
    name, count = Counter(filter(None, columns)).most_common(1)[0] if any(columns) else ("", 0)
    if count > 1:
        raise ConfigError(f"{path} has {count} columns called {name!r}. Rename or delete one.")
    return rows, columns


def uneven_line(path: Path) -> str:
    """Return where a row has not as many fields as the header, as a part of a sentence.

    There is such a row in what ``read_csv`` has returned.
    """
    reader = _reader(path, what="rows")
    for row in reader:
        num_given = sum(value is not None for value in row.values())
        if None in row:
            num_given += len(row[None]) - 1
        if num_given != (expected := len(reader.fieldnames or [])):
            return (
                f"line {reader.line_num} has not as many fields as the header: {num_given} instead "
                f"of {expected}"
            )
    raise AssertionError("all rows are even")


def header_is_row(columns: Sequence[str]) -> str:
    """Return a sentence if the columns look like a row of a file without a header, or nothing."""
    first = columns[0] if columns else ""
    if "/" not in first and not any(
        posixpath.splitext(one)[1] for one in (first.split(" ")[0], first)
    ):
        return ""
    return (
        f" The first line, {first!r}, was read as the names of the columns: write a line such "
        "as path,label before it, and commas between the columns."
    )


def meant(name: str, videos: Collection[str]) -> str:
    r"""Return the video that a name means, as ``./a/x.mp4`` means ``a/x.mp4``, or the name itself.

    Windows writes ``a\x.mp4``, which may also be the true name of a file elsewhere. macOS writes
    the names of files with accents apart from their letters (NFD), and other programs do not.
    """
    if name in videos:
        return name
    forms = [posixpath.normpath(form) for form in (name, name.replace("\\", "/")) if form]
    forms += [unicodedata.normalize(kind, form) for form in forms for kind in ("NFC", "NFD")]
    return next((form for form in forms if form in videos), name)


def called_so(call: str, names: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Return the videos that a user calls so: by a name, or by path or URL as it was given.

    Args:
        call: what the file has.
        names: what a video may be called, also its absolute path, and the names of the videos that
            are called so.
    """
    return names.get(meant(call, names)) or names.get(meant(str(absolute(Path(call))), names)) or ()


def _reader(path: Path, *, what: str) -> "csv.DictReader[str]":
    text = read_text(path, what=what)
    (header,) = csv.reader(text.splitlines()[:1]) if text.strip() else [[]]
    return csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(header), strict=True)


def _delimiter(header: Sequence[str]) -> str:
    """Return what parts the columns: programs also write tabs, semicolons or bars."""
    return next((one for one in "\t;|" if len(header) == 1 and one in header[0]), ",")
