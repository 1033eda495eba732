"""The folder that ``prepare`` writes to: its owner, its lock, and its temporary files."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidmoco.errors import ConfigError
from vidmoco.frames.key import KEY_FILE, SHARDS
from vidmoco.frames.shard_writer import JOURNAL
from vidmoco.lock import LOCK, held
from vidmoco.text import first_of
from vidmoco.urls import is_url, url_of

_PIECES = "pieces"


def refuse_foreign(folder: Path) -> None:
    """Check that a folder is missing, empty, or written by ``prepare``.

    Raises:
        ConfigError: it holds something else, which ``prepare`` might overwrite, or is a URL.
    """
    if is_url(folder):
        raise ConfigError(
            f"-o {url_of(folder)} is a URL, but frames are written to local folders. Give one, and "
            "copy it afterwards."
        )
    if not folder.is_dir() or (folder / KEY_FILE).exists() or not _is_blank(folder / JOURNAL):
        return
    others = sorted(path.name for path in folder.iterdir() if not _is_blank(path))
    if others:
        raise ConfigError(
            f"{folder} is not empty, and holds no prepared frames. It holds "
            f"{first_of(others)}. Give a new folder with -o."
        )


def _is_blank(path: Path) -> bool:
    """Return whether a path is missing, or in the state in which ``prepare`` creates it."""
    if path.name in (SHARDS, _PIECES) and path.is_dir():
        return not any(path.iterdir())
    if path.name == JOURNAL and path.is_file():
        return path.stat().st_size == 0
    return path.name == LOCK or not path.exists()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system releases if this process dies.

    Raises:
        ConfigError: another process holds it, or the disk has no locks.
    """
    busy = "Another process is preparing frames into"
    with held(folder, busy=busy, advice="or give another folder.") as reason:
        if reason:
            raise ConfigError(
                f"{folder / LOCK} cannot be locked: {reason}. Give a folder on a disk that "
                "supports locks."
            )
        yield


@contextmanager
def pieces_of(folder: Path) -> Iterator[Path]:
    """Yield an empty folder for the frames of single videos, and remove it afterwards."""
    pieces = folder / _PIECES
    pieces.mkdir(exist_ok=True)
    _remove_pieces(pieces)
    try:
        yield pieces
    finally:
        _remove_pieces(pieces)
        with suppress(OSError):  # it contains a file of the user
            pieces.rmdir()


def piece_name(number: int) -> str:
    """Return the name of a video's file in the folder of pieces."""
    return f"{number}.tar"


def _remove_pieces(pieces: Path) -> None:
    for path in pieces.iterdir():
        if path.suffix == ".tar" and path.stem.isdecimal():
            path.unlink()
