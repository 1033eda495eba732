"""What ``prepare`` does with the videos and shards that a folder has already.

A command adds its videos. A video that is not given stays, unless its file is gone from a folder
that is given, or a limit refuses it now.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from vidmoco.config.command_line import flag_words
from vidmoco.config.commands import PrepareCommand
from vidmoco.content import content_of
from vidmoco.errors import ConfigError
from vidmoco.frames.index import FrameIndex, VideoRow
from vidmoco.frames.key import SHARDS
from vidmoco.text import counted, first_of
from vidmoco.urls import expand_lists
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo

State = tuple[int, int]
"""Size in bytes, and time of the last change in nanoseconds."""
_FLAGS = {"black": "drop_black"}  # the others are called as their flags are
_is_shard = re.compile(r"(\d{6,})\.tar").fullmatch


def refuse_other_settings(folder: Path, earlier: Any, given: dict[str, Any], *, state: str) -> None:
    """Check that a folder's settings are the given ones.

    Raises:
        ConfigError: they differ. The message names the flags that do. ``state`` says what the
            settings belong to, such as ``was prepared``.
    """
    if earlier == given:
        return
    then, now = _words_of(earlier), _words_of(given)
    differ = [name for name in now if name in then and then[name] != now[name]]
    if differ:
        were = " ".join(then[name] for name in differ)
        defaults = _words_of({field.name: field.default for field in fields(PrepareCommand)})
        are = [
            now[name] + " (the default)" * (defaults.get(_FLAGS.get(name, name)) == now[name])
            for name in differ
        ]
        raise ConfigError(
            f"{folder} {state} with {were}, and this command has {' '.join(are)}. Give {were}, or "
            "another folder with -o."
        )
    raise ConfigError(
        f"{folder} {state} with settings that this version of vidmoco does not have: {earlier}. "
        "Give another folder with -o."
    )


def _words_of(settings: Any) -> dict[str, str]:
    """Return the words that give each setting, by its name."""
    if not isinstance(settings, dict):
        return {}
    selection = settings.get("selection")
    flat = settings | (selection if isinstance(selection, dict) else {})
    flat.pop("selection", None)
    return {
        name: " ".join(flag_words(_FLAGS.get(name, str(name)), value))
        for name, value in flat.items()
    }


def paths_of(videos: Iterable[VideoInfo]) -> list[str]:
    """Return the absolute path of each video, with the links of its root resolved."""
    real = cache(os.path.realpath)
    return [f"{real(one.root)}/{one.key}" for one in videos]


def names_in_folder(given: Mapping[str, VideoInfo], rows: Sequence[VideoRow]) -> dict[str, str]:
    """Return the name in the folder of each given video, by the name that it would have alone.

    A known file keeps its name. A file in another place is taken for it if it has its name and
    size, and its content while the known one is there. Any other is another video, whose name is
    preceded by that of its folder.

    Raises:
        ConfigError: two videos would have the same name.
    """
    by_path = {row.path: row for row in rows if row.path}
    by_name = {row.name: row for row in rows}
    paths = dict(zip(given, paths_of(given.values()), strict=True))
    names = {name: by_path[path].name for name, path in paths.items() if path in by_path}
    taken = set(names.values())
    for name, video in given.items():
        if name in names:
            continue
        row = by_name.get(name)
        same = row is None or not row.path or _may_be_it(row, video, paths[name])
        new = name if same and name not in taken else f"{Path(video.root).name}/{name}"
        if new in taken or (new != name and new in by_name and by_name[new].path):
            raise ConfigError(
                f"The folder has another video that is called {new!r}, of "
                f"{by_name[new].path if new in by_name else 'these videos'}. Prepare "
                f"{paths[name]} into another folder with -o."
            )
        names[name] = new
        taken.add(new)
    return names


def _may_be_it(row: VideoRow, video: VideoInfo, path: str) -> bool:
    """Return whether the file at ``path`` may be a known one that was elsewhere."""
    if row.num_bytes != video.num_bytes:
        return False
    before = content_of(Path(row.path))  # empty if it is gone
    return not before or before == content_of(Path(path))


def copies_of_known(
    given: Mapping[str, VideoInfo],
    names: Mapping[str, str],
    rows: Iterable[VideoRow],
    *,
    lost: Collection[str] = (),
) -> dict[str, State]:
    """Return the known videos of which a copy is given, by name, each with its known state.

    Their own files are still there, so they stay as they are: a copy adds nothing.

    Args:
        given: the given videos, by the names that they would have alone.
        names: what ``names_in_folder`` returns.
        rows: the known videos.
        lost: those of them whose frames are lost, which are prepared from any file.
    """
    by_name = {row.name: row for row in rows}
    copies = {}
    for name, path in zip(given, paths_of(given.values()), strict=True):
        row = by_name.get(names[name])
        if row is None or row.name in lost or row.path in ("", path):
            continue
        if os.path.lexists(row.path):
            copies[row.name] = row.num_bytes, row.mtime_ns
    return copies


def staying(
    rows: Iterable[VideoRow],
    videos: Collection[str],
    catalog: Catalog,
    sources: Sequence[Path],
) -> dict[str, State]:
    """Return the state of each known video that stays, by name, without the readable ``videos``.

    Those stay that do not belong to the given ``sources``. Of the others, those stay that cannot
    be read now and are as they were: their folder or their disk may be away for a while.
    """
    everything = list(catalog.rows())
    listed = set(paths_of(everything))
    folders = tuple(
        os.path.realpath(one).rstrip("/") + "/" for one in expand_lists(sources) if one.is_dir()
    )
    away = [one for one in everything if one.route == "refused" and not one.limit]
    refused = {
        path: (one.num_bytes, one.mtime_ns) for path, one in zip(paths_of(away), away, strict=True)
    }
    away_folders = tuple(path for path in refused if path.endswith("/"))

    def stays(row: VideoRow) -> bool:
        is_given = row.path in listed or row.path.startswith(folders)
        return (
            not is_given
            or refused.get(row.path) == (row.num_bytes, row.mtime_ns)
            or row.path.startswith(away_folders)
        )

    return {
        row.name: (row.num_bytes, row.mtime_ns)
        for row in rows
        if row.name not in videos and stays(row)
    }


def at_their_places(index: FrameIndex, videos: Mapping[str, VideoInfo]) -> FrameIndex:
    """Return an index whose rows say where the given videos are now."""
    paths = dict(zip(videos, paths_of(videos.values()), strict=True))
    rows = [replace(row, path=paths.get(row.name, row.path)) for row in index.videos]
    return replace(index, videos=rows)


def lines_of_update(
    folder: Path,
    rows: Iterable[VideoRow],
    index: FrameIndex,
    *,
    stay: Collection[str],
    copies: Collection[str],
    failed: Collection[str],
) -> list[str]:
    """Return a line each on known videos that stay, have moved or are dropped, and on copies.

    Args:
        folder: the folder of frames.
        rows: the videos that were known before.
        index: what the folder has now.
        stay: those that are not given and stay.
        copies: those of which a copy is given.
        failed: those that could not be read.
    """
    before = {row.name: row.path for row in rows}
    now = {row.name: row.path for row in index.videos}
    lines = []
    if kept := now.keys() & set(stay):
        lines.append(f"{folder} keeps {counted(len(kept), 'video')} of other places.")
    if same := sorted(now.keys() & set(copies)):
        lines.append(
            f"{folder} has {counted(len(same), 'given video')} already, with the same content in "
            f"the place of before: {first_of(same)}"
        )
    moved = sorted(name for name in now if before.get(name) and now[name] != before[name])
    if moved:
        lines.append(
            f"{folder} has {counted(len(moved), 'video')} in a new place, gone from the one of "
            f"before: {first_of(moved)}"
        )
    if gone := sorted(before.keys() - now.keys() - set(failed)):
        lines.append(
            f"{folder} drops {counted(len(gone), 'video')}, gone from the given folders or "
            f"refused: {first_of(gone)}"
        )
    return lines


def remove_dead_shards(folder: Path, index: FrameIndex, *, keep: Collection[int] = ()) -> None:
    """Remove the shards that no row of the index names, which other readers would read.

    The index on the disk must be the given one: a kill in between leaves them for the next run.
    """
    alive = index.shard_sizes().keys() | set(keep)
    for path in (folder / SHARDS).iterdir():
        found = _is_shard(path.name)
        if found and int(found[1]) not in alive:
            path.unlink(missing_ok=True)
