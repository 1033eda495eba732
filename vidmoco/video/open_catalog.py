"""Open the catalog of the user's videos from the cache, and update it."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vidmoco.cache_folder import cache_folder
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.console import say
from vidmoco.errors import ConfigError
from vidmoco.video.catalog import Catalog
from vidmoco.video.scan import scan_videos


def catalog_cache_path(source: Path) -> Path:
    """Return the path of a folder's catalog below ``cache_folder``."""
    absolute = os.path.abspath(source)  # noqa: PTH100  (resolve() would follow a link)
    digest = hashlib.sha256(os.fsencode(absolute)).hexdigest()[:16]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(absolute).name)[:40]
    return cache_folder() / "catalogs" / f"{name}-{digest}.parquet"


def open_catalog(
    sources: Sequence[Path],
    *,
    workers: int | None = None,
    progress: bool = True,
    fresh: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Catalog:
    """Return the catalog of some videos. Only new and changed files are inspected.

    Args:
        sources: folders, video files, or catalogs (.parquet), which are not updated.
        workers: number of processes. None means one per core.
        progress: show a bar on stderr.
        fresh: inspect every file again.
        limits: limits on videos, and whether links are followed.

    Raises:
        ConfigError: a source does not exist, has no video, or is not a catalog.
    """
    if not sources:
        raise ConfigError("No videos given. Give folders, video files or catalogs (.parquet).")
    catalogs = []
    for source in sources:
        if source.suffix.lower() == ".parquet" and not source.is_dir():
            catalogs.append(Catalog.load(source))
            continue
        cache = catalog_cache_path(source)
        previous = None if fresh else cached_catalog(cache)
        catalog = scan_videos(
            [source],
            previous=previous,
            workers=workers,
            progress=progress,
            limits=limits,
        )
        try:
            catalog.save(cache)
        except ConfigError as error:
            say(Console(stderr=True), f"{error} The next run will inspect every file again.")
        catalogs.append(catalog)
    return Catalog.merge(catalogs)


def cached_catalog(path: Path) -> Catalog | None:
    """Return the catalog of an earlier run, or None if it is missing, outdated or damaged."""
    try:
        return Catalog.load(path)
    except ConfigError:  # only a cache, which will be written again
        return None
