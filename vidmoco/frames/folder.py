"""The folder that ``prepare`` writes to: whose it is, who writes to it, what is cleared away."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vidmoco.errors import ConfigError
from vidmoco.frames.index import SHARDS
from vidmoco.frames.key import KEY_FILE
from vidmoco.frames.shard_writer import JOURNAL
from vidmoco.text import first_of
from vidmoco.urls import is_url, url_of

_LOCK, _PIECES = ".lock", "pieces"


def refuse_foreign(folder: Path) -> None:
    """Look whether a folder is empty, or one that ``prepare`` has begun; there may be none yet.

    Raises:
        ConfigError: it holds something else, which ``prepare`` might overwrite, or is a URL.
    """
    if is_url(folder):
        raise ConfigError(
            f"-o {url_of(folder)} is a URL; frames are written to local folders. Give one, and "
            "copy it to where it is to be read."
        )
    if not folder.is_dir() or (folder / KEY_FILE).exists() or not _is_blank(folder / JOURNAL):
        return
    others = sorted(path.name for path in folder.iterdir() if not _is_blank(path))
    if others:
        raise ConfigError(
            f"{folder} is not empty, and holds no prepared frames: there is "
            f"{first_of(others)}. Give a new folder with -o."
        )


def _is_blank(path: Path) -> bool:
    """Return whether nothing is there, or what a ``prepare`` that has just begun leaves."""
    if path.name in (SHARDS, _PIECES) and path.is_dir():
        return not any(path.iterdir())
    if path.name in (_LOCK, JOURNAL) and path.is_file():
        return path.stat().st_size == 0
    return not path.exists()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with this process.

    Raises:
        ConfigError: another process holds it, or there can be none.
    """
    path = folder / _LOCK
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("a", encoding="utf-8"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"Another process is preparing frames into {folder}. Wait for it, or give another "
                "folder."
            ) from error
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be locked: {error.strerror or error}. Give a folder on another "
                "disk, one that has locks."
            ) from error
        yield


@contextmanager
def pieces_of(folder: Path) -> Iterator[Path]:
    """Yield the folder for the frames of single videos, without any, and clear it away after."""
    pieces = folder / _PIECES
    pieces.mkdir(exist_ok=True)
    _remove_pieces(pieces)
    try:
        yield pieces
    finally:
        _remove_pieces(pieces)
        with suppress(OSError):  # something of the user's is in it
            pieces.rmdir()


def piece_name(number: int) -> str:
    """Return the name of the file of a video in the folder of pieces."""
    return f"{number}.tar"


def _remove_pieces(pieces: Path) -> None:
    for path in pieces.iterdir():
        if path.suffix == ".tar" and path.stem.isdecimal():
            path.unlink()
