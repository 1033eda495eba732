"""Files and folders that are there whole or not at all; one line says why they are not."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidmoco.errors import ConfigError, VidmocoError

# What must be done first where there is no more room.
NO_ROOM = {
    errno.ENOSPC: "Make room there",
    errno.EDQUOT: "Make room within the quota",
    errno.EFBIG: "Raise the limit of the size of a file (ulimit -f)",
}


@contextmanager
def writing(path: Path, *, advice: str = " and try again.") -> Iterator[None]:
    """Say in a block that writes ``path`` why it could not be written.

    Args:
        path: what is written; a reader knows it by this name.
        advice: how to go on then, the end of a sentence that begins with "Make room there".

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
    """Give the name of a file or folder to write, which then takes the place of ``path``.

    It is flushed to disk and renamed, so that at any moment the old one or the whole new one is
    there; a folder, of which only an empty one can be renamed over, is for a moment beside its
    name, as ``.old``. Where the block fails it is removed; of a killed process it stays, until
    ``remove_parts``. The folder of ``path`` is made.

    Args:
        path: a file or a folder.
        advice: as of ``writing``.

    Raises:
        ConfigError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with writing(path, advice=advice):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            for file in part.rglob("*") if part.is_dir() else [part]:
                if file.is_file():
                    flush_to_disk(file)
            _put(part, path)
        except BaseException:
            remove(part)
            raise


def remove_parts(folder: Path, pattern: str) -> None:
    """Remove what killed processes left of files in ``folder`` that only one process writes.

    Args:
        folder: of the files; there may be none.
        pattern: of their names, as for ``Path.glob``.
    """
    for left_over in folder.glob(f"{pattern}.*.part"):
        remove(left_over)


def _put(part: Path, path: Path) -> None:
    """Rename a file or a folder; of a folder that was there, nothing is lost before that."""
    if not (part.is_dir() and path.is_dir()):
        part.replace(path)
        return
    old = path.with_name(f"{path.name}.{os.getpid()}.old")
    path.replace(old)
    try:
        part.replace(path)
    except BaseException:
        old.replace(path)
        raise
    remove(old)


def unwritable(error: OSError, path: Path, *, advice: str) -> ConfigError:
    """Return the error that says that ``path`` cannot be written, why, and how to go on."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    first = NO_ROOM.get(error.errno or 0, "Put that right")
    return ConfigError(f"{path} cannot be written: {reason}. {first}{advice}")


def flush_to_disk(path: Path) -> None:
    """Return when the disk has a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _system_error(error: Exception) -> OSError | None:
    """Return what the operating system said; None: the failure is another one."""
    if isinstance(error, VidmocoError):
        return None
    if isinstance(error, OSError) and error.errno:
        return error
    text = str(error)
    # safetensors and shutil.copytree have the number in their text alone.
    if found := re.search(r"(?:\(os error |\[Errno )(\d+)", text):
        return OSError(int(found[1]), os.strerror(int(found[1])))
    if isinstance(error, OSError):
        return error
    if "inline_container" in text:  # torch.save, in C++; Python's own error is behind it, if any
        behind = error.__context__
        return behind if isinstance(behind, OSError) else OSError(errno.ENOSPC, "")
    return None
