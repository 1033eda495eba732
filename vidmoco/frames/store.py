"""The files of a prepared folder, on the disk or anywhere that fsspec reaches."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from vidmoco.errors import ConfigError
from vidmoco.frames.index import FrameIndex, read_tables, shard_name
from vidmoco.frames.key import KEY_FILE, holds_key, read_key
from vidmoco.frames.shard_writer import JOURNAL
from vidmoco.text import reason_of
from vidmoco.urls import is_url, library_for, url_of

_LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # 1024 by default; -1 is none
MOST_OPEN = _LIMIT // 2 if _LIMIT > 0 else 2**14
"""Shards that stay open. A folder of 300 GB has more than a process may have open."""


def is_prepared(source: Path) -> bool:
    """Return whether a source is a folder that ``prepare`` has written to, or any URL."""
    return is_url(source) or holds_key(source) or (source / JOURNAL).is_file()


class Store:
    """The files of a prepared folder."""

    def __init__(self, source: Path) -> None:
        """Connect to the file system.

        Raises:
            ConfigError: fsspec does not support the URL, or lacks a library for it.
        """
        self._files: dict[int, int] = {}
        self.where = url_of(source)
        try:
            self._system, self._root = fsspec.core.url_to_fs(self.where)
        except (ValueError, ImportError, OSError) as error:
            reason = library_for(self.where, error) or error
            raise ConfigError(f"{self.where} cannot be opened: {reason}.") from error
        self.is_local = not is_url(source)

    _close = staticmethod(os.close)  # when Python ends, ``os`` may be gone

    def __del__(self) -> None:
        for file in self._files.values():
            self._close(file)

    def exists(self, name: str) -> bool:
        """Return whether a file exists."""
        with self._reached():
            return bool(self._system.exists(f"{self._root}/{name}"))

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes, -1 if it is missing, or None if unknown to the server."""
        try:
            with self._reached():
                size = self._system.size(f"{self._root}/{name}")
        except FileNotFoundError:
            return -1
        return None if size is None else int(size)

    def content(self, name: str) -> bytes:
        """Return all bytes of a file."""
        with self._reached():
            return bytes(self._system.cat_file(f"{self._root}/{name}"))

    def read(self, shard: int, offset: int, length: int) -> bytes:
        """Return a range of bytes of a shard. Threads may call it at the same time."""
        name = shard_name(shard)
        if not self.is_local:
            return self._range(name, offset, length)
        if (kept := self._files.get(shard)) is not None:
            return os.pread(kept, length, offset)
        opened = os.open(Path(self._root) / name, os.O_RDONLY | os.O_CLOEXEC)
        data = os.pread(opened, length, offset)
        is_full = len(self._files) >= MOST_OPEN
        if is_full or self._files.setdefault(shard, opened) != opened:  # a thread was faster
            os.close(opened)
        return data

    def check_ranges(self) -> None:
        """Check that ranges of bytes can be read, with the first byte of the small key file.

        Raises:
            ConfigError: the server answers with the whole file.
        """
        if not self.is_local:
            try:
                self._range(KEY_FILE, 0, 1)
            except OSError as error:
                raise ConfigError(f"{self.where}: {error}. Copy the folder to a disk.") from error

    def _range(self, name: str, offset: int, length: int) -> bytes:
        with self._reached():
            path = f"{self._root}/{name}"
            data = bytes(self._system.cat_file(path, start=offset, end=offset + length))
        if len(data) > length:
            raise OSError(
                f"asked for {length:,} bytes, the server sent {len(data):,}: it does not serve "
                "parts of files (HTTP range requests)"
            )
        return data

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Turn the errors of the libraries below fsspec into ``OSError``."""
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            if self.is_local:
                raise
            raise OSError(str(error) or type(error).__name__) from error


def read_store_key(store: Store) -> dict[str, Any]:
    """Return the content of a prepared folder's key file.

    Raises:
        ConfigError: there is none, it is damaged, or it is of another version.
    """
    try:
        text = store.content(KEY_FILE).decode("utf-8", errors="replace")
    except FileNotFoundError as error:
        if store.exists(JOURNAL):
            raise ConfigError(
                f"{store.where} is not finished. Give the same `vidmoco prepare` command again: it "
                "continues where it stopped."
            ) from error
        raise ConfigError(
            f"{store.where} holds no prepared frames. `vidmoco prepare` makes them from local "
            "videos."
        ) from error
    except OSError as error:
        if store.is_local:
            raise ConfigError(
                f"{store.where}/{KEY_FILE} cannot be read: {reason_of(error)}."
            ) from error
        raise ConfigError(f"{store.where} cannot be reached: {reason_of(error)}.") from error
    return read_key(text, where=store.where)


def open_index(source: Path, store: Store | None = None) -> FrameIndex:
    """Read the index of a prepared folder.

    Raises:
        ConfigError: it is not finished, of another version, or damaged.
    """
    store = store or Store(source)
    key = read_store_key(store)
    try:
        frames, videos = store.content(key["frames"]), store.content(key["videos"])
    except FileNotFoundError as error:
        raise ConfigError(
            f"The index of {store.where} is missing: {reason_of(error)}. Restore it from a copy, "
            "or prepare the videos into an empty folder."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"The index of {store.where} cannot be read: {reason_of(error)}."
        ) from error
    table, rows = read_tables(frames, videos, key, where=store.where)
    return FrameIndex(key["settings"], rows, table, key)


def damaged_shards(store: Store, index: FrameIndex) -> dict[int, str]:
    """Return the shards that are missing or too short, each with a description."""
    damaged = {}
    for shard, expected in sorted(index.shard_sizes().items()):
        size = store.size(shard_name(shard))
        if size is not None and size < expected:
            missing = f"has {size:,} bytes, expected {expected:,}"
            damaged[shard] = "is missing" if size < 0 else missing
    return damaged
