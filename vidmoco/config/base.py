"""Settings that say what they may be."""

import math
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

from vidmoco.errors import ConfigError


class Settings:
    """Gives a settings class its checks, which speak of the flag that the user typed."""

    SECTION: ClassVar[str] = ""

    def _require(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            flag = f"--{self.SECTION + '.' if self.SECTION else ''}{name}".replace("_", "-")
            raise ConfigError(f"{flag} is {getattr(self, name)!r}; it must be {expected}.")

    def _at_least(self, least: int, *names: str, unit: str = "") -> None:
        """Require whole numbers of at least ``least``; None too, where that is the default."""
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
    """Refuse numbers that are infinite, or none, wherever they are in the settings."""
    for field in fields(settings):
        if field.name == "limits":  # an infinite one is none
            continue
        value = getattr(settings, field.name)
        flag = f"{place}{field.name}" if field.name != "config" else ""
        if is_dataclass(value):
            require_finite(value, f"{flag}." if flag else "")
            continue
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise ConfigError(
                    f"--{flag.replace('_', '-')} is {number}; it must be a finite number."
                )
