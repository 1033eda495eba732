"""A folder that several processes write to: on a disk, or at a URL of fsspec.

Files are written whole or not at all. Object stores know no renaming and no appending, so nothing
here needs them: a file is put there once, and later deleted.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vidmoco.atomic_file import flush_to_disk, remove, unique, writing
from vidmoco.errors import ConfigError
from vidmoco.features.remote_folder import INTERNAL, RemoteFolder
from vidmoco.run_folder import make_writable_folder
from vidmoco.urls import expanded, is_url, url_of

ADVICE = ", then give the same command again: finished videos are kept."
# Of a file system without hard links, such as exFAT.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
# To write where other processes remove an empty folder as they end.
_ATTEMPTS = 100


@runtime_checkable
class OutputFolder(Protocol):
    """Names are relative to the folder, with ``/``. Methods raise ``ConfigError``."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def make(self) -> None:
        """Make the folder if it is missing, and see that it can be written to."""

    def names(self) -> list[str]:
        """Return the names of the files and folders directly in the folder."""

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return the bytes of each file directly in a subfolder, by its name there."""

    def changed(self, folder: str) -> dict[str, float]:
        """Return when each file of a subfolder was written, in seconds by the folder's clock."""

    def open(self, name: str) -> Any:
        """Open a file for reading, in binary. Raises ``FileNotFoundError``."""

    def read(self, name: str) -> bytes:
        """Return what a small file holds. Raises ``FileNotFoundError``."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, in place of an old one."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file if there is none; return whether this process did, and no other.

        Whoever sees the file sees all of it.
        """

    def temporary(self, name: str) -> Path:
        """Return a local path for a file that ``put`` will take."""

    def put(self, part: Path, name: str) -> None:
        """Put a local file there under a name, and remove it here."""

    def delete(self, *names: str) -> None:
        """Delete files; those that are gone already do not matter."""

    def close(self) -> None:
        """Remove what is not needed any more, such as empty folders."""


def output_folder(place: Path) -> OutputFolder:
    """Return the folder at a path or a URL, which may be missing."""
    url = url_of(place) if is_url(place) else ""
    if url.startswith(("file://", "local://")):
        return _LocalFolder(Path(url.partition("://")[2]))
    return RemoteFolder(url) if url else _LocalFolder(expanded(place))


class _LocalFolder:
    """A folder of this machine's file systems, which may be shared with others."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return str(self.path)

    def make(self) -> None:
        make_writable_folder(self.path, flag="-o")

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ConfigError(
                f"{self.path / name} cannot be read: {error.strerror or error}. Fix that, then "
                "give the same command again."
            ) from error

    def names(self) -> list[str]:
        with self._reading(""):
            return os.listdir(self.path)  # noqa: PTH208

    def sizes(self, folder: str = "") -> dict[str, int]:
        return {entry.name: stat.st_size for entry, stat in self._files(folder)}

    def changed(self, folder: str) -> dict[str, float]:
        return {entry.name: stat.st_mtime for entry, stat in self._files(folder)}

    def _files(self, folder: str) -> Iterator[tuple["os.DirEntry[str]", os.stat_result]]:
        with self._reading(folder):
            try:
                entries = list(os.scandir(self.path / folder))
            except FileNotFoundError:
                return
            for entry in entries:
                with suppress(FileNotFoundError):  # another process has just deleted it
                    if entry.is_file():
                        yield entry, entry.stat()

    def open(self, name: str) -> Any:
        with self._reading(name):
            return (self.path / name).open("rb")

    def read(self, name: str) -> bytes:
        path = self.path / name
        with self._reading(name):
            try:
                return path.read_bytes()
            except OSError as error:
                if error.errno != errno.ESTALE:
                    raise
                return path.read_bytes()  # NFS: another machine has just replaced it

    @contextmanager
    def _part(self, path: Path, data: bytes) -> Iterator[Path]:
        """Yield a temporary file beside ``path``. It keeps the folder that others may ``close``."""
        part = path.with_name(f"{path.name}.{unique()}.part")
        with writing(path, advice=ADVICE):
            try:
                for _ in range(_ATTEMPTS):
                    with suppress(FileExistsError, FileNotFoundError):  # it was just removed
                        path.parent.mkdir(parents=True, exist_ok=True)
                        part.write_bytes(data)
                        break
                else:
                    part.write_bytes(data)
                yield part
            finally:
                remove(part)

    def write(self, name: str, data: bytes) -> None:
        with self._part(self.path / name, data) as part:
            flush_to_disk(part)
            part.replace(self.path / name)

    def create(self, name: str, data: bytes) -> bool:
        path = self.path / name
        with self._part(path, data) as part:
            try:
                os.link(part, path)
            except FileExistsError:
                return part.stat().st_nlink > 1  # the answer of a file server was lost: it is ours
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                try:
                    path.open("xb").close()
                except FileExistsError:
                    return False
                part.replace(path)
        return True

    def temporary(self, name: str) -> Path:
        path = self.path / INTERNAL / f"{name}.part"
        with writing(path, advice=ADVICE):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def put(self, part: Path, name: str) -> None:
        with writing(self.path / name, advice=ADVICE):
            flush_to_disk(part)
            part.replace(self.path / name)

    def delete(self, *names: str) -> None:
        for name in names:
            with writing(self.path / name, advice=ADVICE):
                (self.path / name).unlink(missing_ok=True)

    def close(self) -> None:
        inside = self.path / INTERNAL
        with suppress(OSError):  # it is missing, or another process has just removed it
            for folder in inside.iterdir():
                with suppress(OSError):  # it is not empty, or a file
                    folder.rmdir()
            inside.rmdir()
