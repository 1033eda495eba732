"""Read texts of users, make those of strangers safe to print, and format counts.

Unprintable characters become escapes, so that no text controls the terminal or breaks a line.
"""

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

from vidmoco.errors import ConfigError


def read_text(path: Path, *, what: str, most_bytes: int = -1) -> str:
    """Return the text of a file that a user has written, in UTF-8, or in UTF-16 with its mark.

    Args:
        path: the file.
        what: what it is, for the error, such as "recipe".
        most_bytes: its largest size; -1 means any.

    Raises:
        ConfigError: it cannot be read, is in another encoding, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(-1 if most_bytes < 0 else most_bytes + 1)
        if 0 <= most_bytes < len(data):
            raise ConfigError(
                f"Cannot read the {what} {path}: it has more than {most_bytes:,} bytes."
            )
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        raise ConfigError(f"Cannot read the {what} {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"Cannot read the {what} {path}: byte {error.start} is not UTF-8. Save the file in "
            "UTF-8."
        ) from error


_CLOCK = re.compile(r"(?:(\d+):(?=\d\d:))?(\d+):([0-5]\d(?:\.\d*)?)")


def seconds_of(text: str) -> float:
    """Return a time of a video in seconds, given so, as ``m:ss`` or as ``h:mm:ss``.

    The seconds may have decimals. What is returned may be negative, infinite or NaN.

    Raises:
        ValueError: it is written in another way.
    """
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return float(text)
    hours, minutes, seconds = found.groups()
    if hours is not None and int(minutes) > 59:
        raise ValueError(f"{text!r} has {minutes} minutes after its hours")
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


_LONGEST = 4000  # characters of an error


def escaped(text: object) -> str:
    """Return ``str(text)`` with escapes for unprintable characters, such as ESC and newlines."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def error_line(error: object) -> str:
    """Return what the command line prints of an error: one line, cut if it is very long."""
    text = escaped(error)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def reason_of(error: BaseException) -> str:
    """Return the message of an error in one line, or its kind if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def memory_line(error: BaseException) -> str:
    """Return what to do about an error of memory that is used up."""
    return (
        f"There is not enough memory: {reason_of(error)}. Give a smaller --batch-size or --size, "
        "fewer --workers, or another --device."
    )


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
