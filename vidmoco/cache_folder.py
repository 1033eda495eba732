"""The cache folder of the user, for what can be computed again: catalogs, features."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return ``$VIDMOCO_CACHE``, else ``$XDG_CACHE_HOME/vidmoco``, else ``~/.cache/vidmoco``."""
    own = os.environ.get("VIDMOCO_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else (Path(shared) if shared else Path.home() / ".cache") / "vidmoco"
