"""A folder at a URL of fsspec. ``OutputFolder`` describes its methods."""

# ruff: noqa: D102

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from vidmoco.atomic_file import remove
from vidmoco.errors import ConfigError, VidmocoError
from vidmoco.text import reason_of
from vidmoco.urls import is_url, library_for, url_of

INTERNAL = "__vidmoco__"
"""The subfolder of files that are no data. pyarrow ignores names that begin with `_`, Hugging Face
datasets folders that begin with `__`."""

_STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci")
# Keys of the time of a file: of s3fs, most, gcsfs, adlfs.
_TIMES = ("LastModified", "mtime", "updated", "last_modified")


def _seconds(time: datetime | str | float) -> float:
    """Return seconds since 1970 of a time as file systems of fsspec write it."""
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return float(time)


def require_lasting(output: Path) -> None:
    """Refuse a URL whose files are in the memory of this process, and end with it.

    Raises:
        ConfigError: it is one.
    """
    url = url_of(output) if is_url(output) else ""
    try:
        kind = fsspec.get_filesystem_class(url.partition("://")[0]) if url else None
    except (ImportError, ValueError):  # there is no such kind, which is told when it is opened
        return
    if kind is not None and issubclass(kind, MemoryFileSystem):
        raise ConfigError(
            f"-o {url} is in the memory of this process, and what it holds ends with the command. "
            "Give a folder, or a URL such as s3://bucket/feats."
        )


class RemoteFolder:
    """A folder at a URL. What is written to it is put together on this machine's disk."""

    def __init__(self, url: str) -> None:
        self.name = url.rstrip("/")
        self._local: Path | None = None
        with self._said():
            self._system, root = fsspec.core.url_to_fs(
                self.name, use_listings_cache=False, skip_instance_cache=True
            )
        self._root = str(root).rstrip("/")

    @contextmanager
    def _said(self, *, may_be_missing: bool = False) -> Iterator[None]:
        """Turn what fsspec and the libraries below it raise, of many kinds, into one line."""
        try:
            yield
        except (VidmocoError, MemoryError):
            raise
        except Exception as error:
            if may_be_missing and isinstance(error, FileNotFoundError):
                raise
            reason = library_for(self.name, error) or reason_of(error)
            raise ConfigError(
                f"{self.name} cannot be used: {reason}. Fix that, then give the same command again."
            ) from error

    def make(self) -> None:
        # ``Dataset.tidy`` deletes what a kill leaves.
        probe = f"{INTERNAL}/probe.{uuid.uuid4().hex[:8]}.part"
        self.write(probe, b"")
        self.delete(probe)

    def names(self) -> list[str]:
        return list(self._infos("", kinds=("file", "directory")))

    def sizes(self, folder: str = "") -> dict[str, int]:
        return {name: int(info["size"] or 0) for name, info in self._infos(folder).items()}

    def changed(self, folder: str) -> dict[str, float]:
        found = {}
        with self._said():
            for name, info in self._infos(folder).items():
                with suppress(FileNotFoundError):  # another process has just deleted it
                    found[name] = _seconds(
                        next((info[key] for key in _TIMES if info.get(key)), None)
                        or self._system.modified(self._path(f"{folder}/{name}"))
                    )
        return found

    def _infos(self, folder: str, kinds: Sequence[str] = ("file",)) -> dict[str, dict[str, Any]]:
        with self._said():
            try:
                found = self._system.ls(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
        here = self._path(folder).strip("/")  # consoles of stores make an empty object of that name
        found = [one for one in found if one["name"].strip("/") != here and one["type"] in kinds]
        return {one["name"].rstrip("/").rpartition("/")[2]: one for one in found}

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def open(self, name: str) -> Any:
        with self._said(may_be_missing=True):
            return self._system.open(self._path(name), "rb")

    def read(self, name: str) -> bytes:
        with self._said(may_be_missing=True):
            return bytes(self._system.cat_file(self._path(name)))

    def write(self, name: str, data: bytes) -> None:
        with self._said():
            self._make_parent(name)
            self._system.pipe_file(self._path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        with self._said():
            self._make_parent(name)
            try:
                self._system.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
        return True

    def _make_parent(self, name: str) -> None:
        """Make the folder of a file. Object stores have none, and s3fs would make a bucket."""
        if self._system.protocol not in _STORES and self._system.protocol[0] not in _STORES:
            self._system.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    def temporary(self, name: str) -> Path:
        if self._local is None:
            self._local = Path(mkdtemp(prefix="vidmoco-"))
        return self._local / name

    def put(self, part: Path, name: str) -> None:
        with self._said():
            self._make_parent(name)
            self._system.put_file(str(part), self._path(name))
        part.unlink()

    def delete(self, *names: str) -> None:
        with self._said():
            for name in names:
                with suppress(FileNotFoundError):
                    self._system.rm_file(self._path(name))

    def close(self) -> None:
        if self._local is not None:
            remove(self._local)
