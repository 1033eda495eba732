"""A command's settings as a command line."""

import shlex
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any


def command_line(
    name: str, settings: Any, *, positional: str, leave_out: Sequence[str] = ()
) -> str:
    """Return the command line that gives these settings. Defaults are left out.

    Args:
        name: The command, such as ``evaluate``.
        settings: The command's dataclass. Its sections are dataclasses too.
        positional: The setting that is given without a flag.
        leave_out: Settings to leave out, such as the output path.
    """
    words = ["vidmoco", name, str(getattr(settings, positional))]
    return shlex.join(words + _flags(settings, "", {positional, *leave_out}))


def _flags(settings: Any, prefix: str, leave_out: set[str]) -> list[str]:
    words: list[str] = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name in leave_out or value == _default(field):
            continue
        if is_dataclass(value):
            words += _flags(value, f"{field.name}.", set())
        else:
            words += flag_words(f"{prefix}{field.name}", value)
    return words


def flag_words(name: str, value: Any) -> list[str]:
    """Return the words of a setting: ``--data.single-frame`` of ``data.single_frame`` and True."""
    section, dot, last = name.removeprefix("limits.").rpartition(".")  # limits have no prefix
    if isinstance(value, bool):
        several: Sequence[Any] = []
        last = last if value else f"no_{last}"
    else:
        several = value if isinstance(value, tuple | list) else [value]
    return [f"--{section}{dot}{last}".replace("_", "-"), *map(_plain, several)]


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
