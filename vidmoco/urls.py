"""URLs among the paths that a user gives."""

import re
from pathlib import Path

# A Path has made one slash of the two of a URL. One letter would be a drive of Windows.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)


def is_url(source: Path) -> bool:
    """Return whether a path is a URL."""
    return _URL.fullmatch(str(source)) is not None


def url_of(source: Path) -> str:
    """Return a place as fsspec names it: a URL that was taken for a path, or the path."""
    found = _URL.fullmatch(str(source))
    if found is None:
        return str(source)
    root = "/" if found[1] in ("file", "local") else ""
    return f"{found[1]}://{root}{found[2]}"


def absolute(source: Path) -> Path:
    """Return a path that means the same in every folder; a URL does already."""
    return source if is_url(source) else source.expanduser().absolute()
