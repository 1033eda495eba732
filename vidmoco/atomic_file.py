"""Atomic writes: a file or folder is written completely or not at all, and an error says why."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidmoco.errors import ConfigError, VidmocoError

# What the user does first, by the error of a full disk, quota or file.
NO_ROOM = {
    errno.ENOSPC: "Make room there",
    errno.EDQUOT: "Make room within the quota",
    errno.EFBIG: "Raise the limit of the size of a file (ulimit -f)",
}


@contextmanager
def writing(path: Path, *, advice: str = " and try again.") -> Iterator[None]:
    """Turn a failed write in the block into an error that says why ``path`` cannot be written.

    Args:
        path: the file or folder as the user knows it.
        advice: how to go on afterwards. It ends a sentence that begins with "Make room there".

    Raises:
        ConfigError: in place of what Python, torch or safetensors raise for a failed write.
    """
    try:
        yield
    except Exception as error:
        cause = _system_error(error)
        if cause is None:
            raise
        raise unwritable(cause, path, advice=advice) from error


@contextmanager
def atomic_write(path: Path, *, advice: str = " and try again.") -> Iterator[Path]:
    """Yield the name of a temporary file or folder, which replaces ``path`` after the block.

    It is flushed to disk and renamed, so at any moment either the old or the complete new one
    exists. A folder can only be renamed over an empty one, so the old folder is called ``.old``
    for a moment. The temporary file is removed where the block fails. A killed process leaves it
    behind, until ``remove_parts``. The parent folder is made.

    Args:
        path: a file or a folder.
        advice: see ``writing``.

    Raises:
        ConfigError: ``path`` cannot be written.
    """
    part = path.with_name(f"{path.name}.{unique()}.part")
    with writing(path, advice=advice):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            for file in part.rglob("*") if part.is_dir() else [part]:
                if file.is_file():
                    flush_to_disk(file)
            _replace(path, part)
        except BaseException:
            remove(part)
            raise


def remove_parts(folder: Path, pattern: str) -> None:
    """Remove the temporary files of killed processes. Only one process may write to ``folder``.

    Args:
        folder: it may be missing.
        pattern: of the finished files' names, for ``Path.glob``.
    """
    for left_over in folder.glob(f"{pattern}.*.part"):
        remove(left_over)


def _replace(path: Path, part: Path) -> None:
    """Rename ``part`` to ``path``. An old folder is deleted only after that."""
    if not (part.is_dir() and path.is_dir()):
        part.replace(path)
        return
    old = path.with_name(f"{path.name}.{unique()}.old")
    path.replace(old)
    try:
        part.replace(path)
    except BaseException:
        old.replace(path)
        raise
    remove(old)


def unique() -> str:
    """Return a part of a name that no other thread, process or container has."""
    return uuid.uuid4().hex[:8]  # a process's number is 1 in every container


def unwritable(error: OSError, path: Path, *, advice: str) -> ConfigError:
    """Return an error that says why ``path`` cannot be written, and how to go on."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    first = NO_ROOM.get(error.errno or 0, "Fix that")
    return ConfigError(f"{path} cannot be written: {reason}. {first}{advice}")


def flush_to_disk(path: Path) -> None:
    """Wait until the file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _system_error(error: Exception) -> OSError | None:
    """Return the operating system's error behind ``error``, or None."""
    if isinstance(error, VidmocoError):
        return None
    if isinstance(error, OSError) and error.errno:
        return error
    text = str(error)
    # safetensors and shutil.copytree give the number only in their text.
    if found := re.search(r"(?:\(os error |\[Errno )(\d+)", text):
        return OSError(int(found[1]), os.strerror(int(found[1])))
    if isinstance(error, OSError):
        return error
    if "inline_container" in text:  # torch.save, in C++; Python's error is its context, if any
        context = error.__context__
        return context if isinstance(context, OSError) else OSError(errno.ENOSPC, "")
    return None
