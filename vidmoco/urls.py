"""URLs among the paths that a user gives."""

import re
from pathlib import Path

from vidmoco.errors import ConfigError

# A Path turns the two slashes of a URL into one. A single letter would be a drive of Windows.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)


def is_url(source: Path) -> bool:
    """Return whether a path is a URL."""
    return _URL.fullmatch(str(source)) is not None


def url_of(source: Path) -> str:
    """Return a source as fsspec names it: the URL that a ``Path`` was made from, or the path."""
    found = _URL.fullmatch(str(source))
    if found is None:
        return str(source)
    root = "/" if found[1] in ("file", "local") else ""
    return f"{found[1]}://{root}{found[2]}"


def absolute(source: Path) -> Path:
    """Return an absolute path, or the URL as it is."""
    return source if is_url(source) else source.expanduser().absolute()


def require_paths(*sources: Path | None) -> None:
    """Refuse a path where nothing is, before libraries are imported that take seconds.

    Raises:
        ConfigError: nothing is there. URLs are not looked up.
    """
    for source in sources:
        if source is not None and not is_url(source) and not source.expanduser().exists():
            raise ConfigError(f"No such file or folder: {source}.")
