"""Base class of all settings: range checks whose errors name the flag."""

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, get_type_hints

from tyro.conf import Positional

from vidmoco.errors import ConfigError


class Settings:
    """Base of a settings dataclass. Its checks raise ``ConfigError``, naming the flag."""

    SECTION: ClassVar[str] = ""

    def _require(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            value = getattr(self, name)
            if name in _positionals(type(self)):
                raise ConfigError(f"{name.upper()} is {_shown(value)}; it must be {expected}.")
            flag = f"--{self.SECTION + '.' if self.SECTION else ''}{name}".replace("_", "-")
            raise ConfigError(f"{flag} is {_shown(value)}; it must be {expected}.")

    def _require_each(
        self, names: tuple[str, ...], holds: Callable[[Any], bool], expected: str
    ) -> None:
        """Require something of several values. None is allowed where it is the default."""
        for name in names:
            value = getattr(self, name)
            is_optional = type(self).__dataclass_fields__[name].default is None  # type: ignore[attr-defined]
            self._require(
                is_optional if value is None else holds(value),
                name,
                f"{'None or ' if is_optional else ''}{expected}",
            )

    def _at_least(self, least: int, *names: str, unit: str = "") -> None:
        self._require_each(names, lambda value: value >= least, f"at least {least}{unit}")

    def _positive(self, *names: str, unit: str = "") -> None:
        self._require_each(names, lambda value: value > 0, f"greater than 0{unit}")

    def _fraction(self, *names: str) -> None:
        self._require_each(names, lambda value: 0 <= value <= 1, "from 0 to 1")

    def _is_seed(self, name: str = "seed") -> None:
        self._require(0 <= getattr(self, name) < 2**63, name, "from 0 to 2^63 - 1")


def _positionals(settings: type) -> frozenset[str]:
    """Return the settings that the command line takes without a flag, and calls ``VIDEOS``."""
    hints: dict[str, Any] = get_type_hints(settings, include_extras=True)
    return frozenset(
        name for name in hints if Positional in getattr(hints[name], "__metadata__", ())
    )


def _shown(value: Any) -> str:
    """Return a value as it is written on a command line."""
    if isinstance(value, tuple | list):
        return " ".join(map(str, value)) or "not given"
    return repr(value)


def require_finite(settings: Any, place: str = "") -> None:
    """Refuse infinite numbers and NaN in the settings and in their sections."""
    for field in fields(settings):
        if field.name == "limits":  # infinity means no limit
            continue
        value = getattr(settings, field.name)
        flag = f"{place}{field.name}" if field.name not in ("config", "frames") else ""
        if is_dataclass(value):
            require_finite(value, f"{flag}." if flag else "")
            continue
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise ConfigError(
                    f"--{flag.replace('_', '-')} is {number}; it must be a finite number."
                )
