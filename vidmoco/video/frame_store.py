"""The files of a prepared folder, which may be anywhere that fsspec reaches."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from vidmoco.errors import ConfigError
from vidmoco.urls import is_url, url_of
from vidmoco.video.frame_index import (
    KEY_FILE,
    FrameIndex,
    read_key,
    read_tables,
    shard_name,
)
from vidmoco.video.shard_writer import JOURNAL


def is_prepared(source: Path) -> bool:
    """Return whether ``prepare`` has written to a folder; every URL is taken for such a one."""
    return is_url(source) or (source / KEY_FILE).is_file() or (source / JOURNAL).is_file()


class Store:
    """The files of a prepared folder."""

    def __init__(self, source: Path) -> None:
        """Connect to it.

        Raises:
            ConfigError: fsspec does not know the kind of URL, or lacks a library for it.
        """
        self._files: dict[int, int] = {}
        self.where = url_of(source)
        try:
            self._system, self._root = fsspec.core.url_to_fs(self.where)
        except (ValueError, ImportError, OSError) as error:
            raise ConfigError(f"{self.where} cannot be opened: {error}.") from error
        self._is_local = not is_url(source)

    def __del__(self) -> None:
        for file in self._files.values():
            os.close(file)

    def exists(self, name: str) -> bool:
        """Return whether there is a file."""
        return bool(self._system.exists(f"{self._root}/{name}"))

    def size(self, name: str) -> int:
        """Return the bytes of a file; -1: there is none."""
        try:
            return int(self._system.size(f"{self._root}/{name}"))
        except FileNotFoundError:
            return -1

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for reading."""
        with self._system.open(f"{self._root}/{name}", "rb") as file:
            yield file

    def read(self, shard: int, offset: int, length: int) -> bytes:
        """Return some bytes of a shard; threads may call it at the same time."""
        if not self._is_local:
            name = f"{self._root}/{shard_name(shard)}"
            return bytes(self._system.cat_file(name, start=offset, end=offset + length))
        if shard not in self._files:
            opened = os.open(Path(self._root) / shard_name(shard), os.O_RDONLY | os.O_CLOEXEC)
            if self._files.setdefault(shard, opened) != opened:  # another thread was faster
                os.close(opened)
        return os.pread(self._files[shard], length, offset)


def read_store_key(store: Store) -> dict[str, Any]:
    """Return the content of a prepared folder's key file.

    Raises:
        ConfigError: there is none, or it is not of this version.
    """
    if not store.exists(KEY_FILE):
        if store.exists(JOURNAL):
            raise ConfigError(
                f"{store.where} is not finished. Give the same `vidmoco prepare` again: it goes on "
                "from where it was stopped."
            )
        raise ConfigError(
            f"{store.where} holds no prepared frames; `vidmoco prepare` makes them of local videos."
        )
    with store.open(KEY_FILE) as file:
        text = file.read().decode("utf-8", errors="replace")
    return read_key(text, where=store.where)


def open_index(source: Path, store: Store | None = None) -> FrameIndex:
    """Read the index of a prepared folder.

    Raises:
        ConfigError: it is not finished, of another version, or damaged.
    """
    store = store or Store(source)
    key = read_store_key(store)
    try:
        with store.open(key["frames"]) as frames, store.open(key["videos"]) as videos:
            table, rows = read_tables(frames, videos, key, where=store.where)
    except (OSError, KeyError) as error:
        raise ConfigError(
            f"The index of {store.where} is missing: {error}. Prepare it again."
        ) from error
    return FrameIndex(key["settings"], rows, table)
