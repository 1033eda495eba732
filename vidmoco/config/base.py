"""Base class of all settings: range checks whose errors name the flag."""

import math
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

from vidmoco.errors import ConfigError


class Settings:
    """Base of a settings dataclass. Its checks raise ``ConfigError``, naming the flag."""

    SECTION: ClassVar[str] = ""

    def _require(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            flag = f"--{self.SECTION + '.' if self.SECTION else ''}{name}".replace("_", "-")
            raise ConfigError(f"{flag} is {getattr(self, name)!r}; it must be {expected}.")

    def _at_least(self, least: int, *names: str, unit: str = "") -> None:
        """Require values of at least ``least``. None is allowed where it is the default."""
        for name in names:
            value = getattr(self, name)
            is_optional = type(self).__dataclass_fields__[name].default is None  # type: ignore[attr-defined]
            self._require(
                (value is None and is_optional) or (value is not None and value >= least),
                name,
                f"{'None or ' if is_optional else ''}at least {least}{unit}",
            )

    def _is_seed(self, name: str = "seed") -> None:
        self._require(0 <= getattr(self, name) < 2**63, name, "from 0 to 2^63 - 1")


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
