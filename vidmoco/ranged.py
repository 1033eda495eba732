"""Settings that say what they may be."""

from typing import ClassVar

from vidmoco.errors import ConfigError


class Ranged:
    """Gives a settings class ``_require``, which speaks of the flag that the user typed."""

    SECTION: ClassVar[str] = ""

    def _require(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            flag = f"--{self.SECTION + '.' if self.SECTION else ''}{name}".replace("_", "-")
            raise ConfigError(f"{flag} is {getattr(self, name)!r}; it must be {expected}.")
