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
from vidmoco.errors import ConfigError, VideoError
from vidmoco.urls import expand_lists
from vidmoco.video.catalog import Catalog
from vidmoco.video.files import look_at
from vidmoco.video.info import VideoInfo
from vidmoco.video.scan import scan_videos

_FILES_APART = 16  # assumption: more files are a list, whose scan starts the processes once


def catalog_cache_path(source: Path) -> Path:
    """Return the path of a folder's catalog below ``cache_folder``."""
    absolute = os.path.abspath(source)  # noqa: PTH100  (resolve() would follow a link)
    digest = hashlib.sha256(os.fsencode(absolute)).hexdigest()[:16]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(absolute).name)[:40]
    return cache_folder() / "catalogs" / f"{name}-{digest}.parquet"


def scan_groups(sources: Sequence[Path]) -> list[tuple[list[Path], Path]]:
    """Return what is scanned at once, with its cache: a folder, a file, or a long list of files.

    All long lists below a folder share one cache, as a list with one file more is another list.
    """
    files = [source for source in sources if not source.is_dir()]
    if len(files) <= _FILES_APART:
        return [([source], catalog_cache_path(source)) for source in sources]
    parent = os.path.commonpath([os.path.abspath(file.parent) for file in files])  # noqa: PTH100
    digest = hashlib.sha256(os.fsencode(parent)).hexdigest()[:16]
    groups = [([source], catalog_cache_path(source)) for source in sources if source.is_dir()]
    return [*groups, (files, cache_folder() / "catalogs" / f"files-{digest}.parquet")]


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
        sources: folders, video files, catalogs (.parquet), which are not updated, or ``@FILE``, a
            list of these.
        workers: number of processes. None means one per core.
        progress: show a bar on stderr.
        fresh: inspect every file again.
        limits: limits on videos, and whether links are followed.

    Raises:
        ConfigError: a source does not exist, has no video, or is not a catalog.
    """
    if not sources:
        raise ConfigError("No videos given. Give folders, video files or catalogs (.parquet).")
    sources = expand_lists(sources)
    saved = [s for s in sources if s.suffix.lower() == ".parquet" and not s.is_dir()]
    catalogs = [Catalog.load(source) for source in saved]
    for group, cache in scan_groups([source for source in sources if source not in saved]):
        known = cached_catalog(cache)
        catalog = scan_videos(
            group,
            previous=None if fresh else known,
            workers=workers,
            progress=progress,
            limits=limits,
        )
        try:
            is_folder = group[0].is_dir()
            (catalog if is_folder or known is None else Catalog.merge([catalog, known])).save(cache)
        except ConfigError as error:
            say(Console(stderr=True), f"{error} The next run will inspect every file again.")
        catalogs.append(catalog)
    return Catalog.merge(catalogs)


def open_videos(paths: Sequence[Path], *, limits: Limits = DEFAULT_LIMITS) -> list[VideoInfo]:
    """Return the catalog's row of each of some video files, in their order, with repeats.

    Raises:
        ConfigError: there is no such file, or it is a folder or a catalog.
        VideoError: a video is refused.
    """
    rows = []
    for row in look_up(paths, limits=limits):
        if isinstance(row, VideoError):
            raise row
        rows.append(row)
    return rows


def look_up(
    paths: Sequence[Path],
    *,
    workers: int | None = None,
    progress: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> list[VideoInfo | VideoError]:
    """Return what ``open_videos`` does, with the error of each video that is refused in its place.

    Raises:
        ConfigError: there is no such file, or it is a folder or a catalog.
    """
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".parquet":
            kind = "folder" if path.is_dir() else "catalog"
            raise ConfigError(f"{path} is a {kind}. Give its videos, or use `vidmoco extract`.")
    catalog = open_catalog(paths, workers=workers, progress=progress, limits=limits)
    found = {info.path.resolve(): info for info in catalog.rows()}
    rows: list[VideoInfo | VideoError] = []
    for path in paths:
        reason = look_at(path, root=path.parent).problem  # a name may not be that of a row
        if not reason and (row := found[path.resolve()]).route != "refused":
            rows.append(row)
        else:
            rows.append(VideoError(f"{path}: {reason or row.reason}."))
    return rows


def cached_catalog(path: Path) -> Catalog | None:
    """Return the catalog of an earlier run, or None if it is missing, outdated or damaged."""
    try:
        return Catalog.load(path)
    except ConfigError:  # only a cache, which will be written again
        return None
