"""Locks of folders that one process at a time may write to."""

import fcntl
import io
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidmoco.errors import ConfigError

LOCK = ".vidmoco.lock"
SECONDS_TO_BE_ALONE = 10.0
_ATTEMPTS = 1000  # each fails only where another process has let go in that moment


@contextmanager
def held(folder: Path, *, busy: str, advice: str, patience: float = 0.0) -> Iterator[str]:
    """Hold the lock of a folder, which is made if it is missing. A folder left empty is removed.

    The system releases the lock when this process ends, in whatever way. It is Linux's ``flock``,
    which holds between machines on NFS (not where it is mounted with ``nolock`` or ``local_lock``),
    CIFS, GPFS, and Lustre mounted with ``flock``. A file server may need a minute to see that a
    machine is gone.

    Args:
        folder: what is locked.
        busy: what another process does that holds it, as the begin of a message.
        advice: what to do then, or where there can be no file, as the end of one.
        patience: seconds to wait for the other process.

    Yields:
        Why this disk has no locks, or an empty string.

    Raises:
        ConfigError: another process holds it, or the file of the lock cannot be made.
    """
    path = folder / LOCK
    try:
        file, reason = open_locked(path, patience)
    except BlockingIOError as error:
        raise ConfigError(f"{busy} {folder}{_holder(path)}. Wait for it, {advice}") from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be locked: {error.strerror or error}. Fix that, {advice}"
        ) from error
    try:
        with file:
            with suppress(OSError):  # on a full disk nobody is told who holds it
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            try:
                yield reason
            finally:
                with suppress(OSError):
                    path.unlink()
    finally:
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def is_held(folder: Path) -> bool:
    """Return whether another process holds the lock of a folder, or may do so."""
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # it is locked, or cannot be looked at, or the disk has no locks
        return True
    return False


def open_locked(path: Path, patience: float) -> tuple[io.FileIO, str]:
    """Make and open a file that no other process locks; return also why the disk has no locks.

    A process that has just locked it and removes it is waited for ``patience`` seconds.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be opened.
    """
    ends = time.monotonic() + patience
    while True:
        try:
            return _try_to_lock(path)
        except BlockingIOError:
            if time.monotonic() >= ends:
                raise
            time.sleep(0.5)


def remove_unlocked(folder: Path, pattern: str) -> None:
    """Remove the temporary files that processes have left which hold no lock of them any more.

    On a disk without locks all stay, as any of them may be in use.

    Args:
        folder: it may be missing.
        pattern: of the finished files' names, for ``Path.glob``.
    """
    for left_over in folder.glob(f"{pattern}.*.part"):
        with suppress(OSError), left_over.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left_over.unlink()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Do what takes a moment while no other process does so in this folder, if its disk can tell.

    Another program may hold the lock of a folder for long, such as ``flock FOLDER vidmoco ...``. So
    it is not waited for longer than ``SECONDS_TO_BE_ALONE``.
    """
    ends = time.monotonic() + SECONDS_TO_BE_ALONE
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # NFS locks no folders
            while not _locks(opened) and time.monotonic() < ends:
                time.sleep(0.01)
        yield
    finally:
        os.close(opened)


def _locks(opened: int) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_to_lock(path: Path) -> tuple[io.FileIO, str]:
    for attempt in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        except (FileExistsError, FileNotFoundError):  # its last holder has just removed the folder
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise
        except OSError as error:
            return file, error.strerror or str(error)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file, ""
        file.close()  # its last holder has just removed it
    raise BlockingIOError


def _holder(path: Path) -> str:
    """Return which process holds a lock, in brackets, if that can be read."""
    with suppress(OSError, UnicodeDecodeError):
        if text := path.read_text(encoding="utf-8")[:100]:
            return f" ({text})"
    return ""
