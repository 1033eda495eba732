"""The videos of a run that goes on: the same content as in its catalog, wherever it is by now."""

import os
import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidmoco.errors import CheckpointError, ConfigError
from vidmoco.text import counted
from vidmoco.urls import expand_lists
from vidmoco.video.catalog import Catalog
from vidmoco.video.files import FoundFile, find_videos, look_at
from vidmoco.video.info import VideoInfo
from vidmoco.video.scan import listed_files, same_content


def videos_in_place(catalog: Catalog, *, run: Path) -> Catalog:
    """Return the catalog of a run with the times that its files have by now.

    A file with another content, or none, keeps a time that it does not have, so that it is not
    read for the one that the run began with.

    Raises:
        CheckpointError: none of the videos is there.
    """
    rows: dict[int, VideoInfo] = {}
    missing = readable = 0
    for index, row in enumerate(catalog.rows()):
        if row.route == "refused":
            continue
        readable += 1
        found = look_at(row.path, root=Path(row.root))
        missing += bool(found.problem)
        if _state(row) == (found.num_bytes, found.mtime_ns, found.ctime_ns) or found.problem:
            continue
        if (same := _same(row, found)) is not None:
            rows[index] = same
        elif row.mtime_ns == found.mtime_ns:
            rows[index] = replace(row, mtime_ns=-1)
    if missing == readable:
        raise CheckpointError(
            f"None of the {counted(readable, 'video')} that {run} began with is where it was, such "
            f"as {row.path}. If they have moved, give their folder: vidmoco pretrain FOLDER --run "
            f"{shlex.quote(str(run))} --resume"
        )
    return catalog.replaced(rows)


def videos_elsewhere(
    catalog: Catalog, sources: Sequence[Path], *, before: Sequence[Path], follow_links: bool
) -> Catalog:
    """Return the catalog of a run whose videos are below other folders by now.

    A video is known by its content; of several files with the same content one is taken that has
    its old name.

    Args:
        catalog: of the run. The order of its rows does not change.
        sources: folders and files.
        before: where the videos were.
        follow_links: whether links out of the folders are followed.

    Raises:
        ConfigError: some of the videos are not there.
    """
    by_size: dict[int, list[tuple[Path, FoundFile]]] = defaultdict(list)
    for source in expand_lists(sources):
        if source.suffix.lower() == ".parquet" and not source.is_dir():
            listed = [(Path(row.root), look_at(row.path, root=Path(row.root)))
                      for row in Catalog.load(source).readable().rows()]  # fmt: skip
        elif source.is_dir():
            listed = [(source, found) for found in find_videos(source, follow_links=follow_links)]
        else:
            listed = list(listed_files([source], follow_links=follow_links))
        for root, found in listed:
            if not found.problem:
                by_size[found.num_bytes].append((root, found))
    rows: dict[int, VideoInfo] = {}
    lost: list[str] = []
    readable = 0
    for index, row in enumerate(catalog.rows()):
        if row.route == "refused":
            continue
        readable += 1
        name = Path(row.key).name
        alike = sorted(
            by_size[row.num_bytes],
            key=lambda one: (one[1].key != row.key, Path(one[1].key).name != name),
        )
        same = (_same(row, found, root=root) for root, found in alike)
        if (new := next((one for one in same if one is not None), None)) is None:
            lost.append(row.key)
        else:
            rows[index] = new
    if lost:
        given, saved = ([str(path) for path in paths] for paths in (sources, before))
        raise ConfigError(
            f"Saved and given settings differ in videos: {saved} and {given}. {len(lost):,} of the "
            f"{counted(readable, 'video')} that the run began with are not there, such as "
            f"{lost[0]!r}. Give the folder that holds the same files, or start a new run."
        )
    return catalog.replaced(rows)


def _state(row: VideoInfo) -> tuple[int, int, int]:
    return row.num_bytes, row.mtime_ns, row.ctime_ns


def _same(row: VideoInfo, found: FoundFile, *, root: Path | None = None) -> VideoInfo | None:
    """Return the row of a file, which may have moved, or None if its content is another."""
    here = row if root is None else replace(row, root=os.fspath(root), key=found.key)
    if not row.content:  # of an earlier version, which has only sizes and times
        same_state = (row.num_bytes, row.mtime_ns) == (found.num_bytes, found.mtime_ns)
        return here if same_state else None
    return same_content(here, found)
