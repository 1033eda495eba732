"""A command's settings as the words that one would type."""

import shlex
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any


def command_line(
    name: str, settings: Any, *, positional: str, leave_out: Sequence[str] = ()
) -> str:
    """Return the command that has these settings: those that are not the defaults.

    Args:
        name: Of the command, such as ``evaluate``.
        settings: Its dataclass; sections are dataclasses in it.
        positional: The setting that has no flag.
        leave_out: Settings that do not matter, such as where the output goes.
    """
    words = ["vidmoco", name, str(getattr(settings, positional))]
    return shlex.join(words + _flags(settings, "", {positional, *leave_out}))


def _flags(settings: Any, prefix: str, leave_out: set[str]) -> list[str]:
    words: list[str] = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        flag = f"{prefix}{field.name}".replace("_", "-")
        if field.name in leave_out or value == _default(field):
            continue
        if is_dataclass(value):
            words += _flags(value, f"{field.name}.", set())
        elif isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            several = value if isinstance(value, tuple | list) else [value]
            words += [f"--{flag}", *map(_plain, several)]
    return words


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
