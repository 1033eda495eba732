"""Fetch videos at URLs whole, through fsspec, because decoders only open local files."""

from collections import deque
from collections.abc import Generator, Iterable
from multiprocessing.pool import AsyncResult, ThreadPool
from pathlib import Path, PurePosixPath
from threading import Event
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import fsspec

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.errors import VideoError
from vidmoco.urls import library_for, without_passwords
from vidmoco.video.fetch_errors import EndedEarly, may_pass, why_not_fetched
from vidmoco.video.files import FoundFile, look_at
from vidmoco.video.info import VideoInfo
from vidmoco.video.probe import ProbeJob, refused
from vidmoco.video.scan import probe_pool, row_of

T = TypeVar("T")

AHEAD = 4
"""Number of files that are fetched at a time, beside the one that is read."""
PAUSES = (1.0, 2.0, 4.0)
"""Seconds before each further attempt."""
_BYTES_AT_ONCE = 2**20
_SECONDS_TO_CONNECT, _SECONDS_OF_SILENCE = 30.0, 60.0


def name_of_url(url: str) -> str:
    """Return the host, path and query of a URL, as a relative path without ``..``.

    It follows from the URL alone, without what signs it: so a video keeps its name, whatever it is
    given with, and however it is signed.
    """
    parts = urlsplit(without_passwords(url))
    path = PurePosixPath(parts.netloc.rpartition("@")[2], unquote(parts.path).lstrip("/"))
    name = "/".join(part for part in path.parts if part not in ("..", "/"))
    return name + ("?" + parts.query.replace("/", "%2F")) * bool(parts.query)


def fetch(url: str, path: Path, *, most_bytes: int, stopped: Event | None = None) -> None:
    """Copy the file at a URL to ``path``.

    What may pass by itself is tried again, ``PAUSES`` seconds later: a server that is busy or has
    failed (429, 5xx), a connection that was reset or is silent, a file that ends early.

    Raises:
        VideoError: it cannot be fetched, has more than ``most_bytes`` bytes, or is not wanted any
            more, because ``stopped`` was set.
    """
    shown, stopped = without_passwords(url), stopped or Event()
    for attempt, pause in enumerate((*PAUSES, None), start=1):
        try:
            _copy(url, path, most_bytes=most_bytes, stopped=stopped)
        except (VideoError, MemoryError):
            path.unlink(missing_ok=True)
            raise
        except Exception as error:  # each library below fsspec has its own kinds
            path.unlink(missing_ok=True)
            if pause is not None and may_pass(error) and not stopped.wait(pause):
                continue
            times = f" ({attempt} attempts)" if attempt > 1 else ""
            reason = library_for(url, error) or without_passwords(why_not_fetched(error))
            reason = reason.rstrip(".")
            raise VideoError(f"{shown}: it cannot be fetched: {reason}{times}.") from error
        return


def _copy(url: str, path: Path, *, most_bytes: int, stopped: Event) -> None:
    shown = without_passwords(url)
    too_large = VideoError(
        f"{shown}: it has more than {most_bytes / 2**30:g} GiB (--max-download)."
    )
    with fsspec.open(url, "rb", **_options(url)) as source, path.open("wb") as target:
        size = getattr(source, "size", None)  # a server may not know it
        if size is not None and size > most_bytes:
            raise too_large
        while piece := source.read(_BYTES_AT_ONCE):
            if target.tell() + len(piece) > most_bytes:
                raise too_large
            target.write(piece)
            if stopped.is_set():
                raise VideoError(f"{shown}: it is not wanted any more.")
        if size is not None and target.tell() < size:
            raise EndedEarly(f"it ends after {target.tell():,} of {size:,} bytes")


def _options(url: str) -> dict[str, Any]:
    """Return fsspec's options for a URL: a video may take hours, but not a silent server."""
    if urlsplit(url).scheme not in ("http", "https"):
        return {}
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(
        total=None, sock_connect=_SECONDS_TO_CONNECT, sock_read=_SECONDS_OF_SILENCE
    )
    return {"client_kwargs": {"timeout": timeout}}


def fetched(
    todo: Iterable[tuple[str, T]],
    folder: Path,
    *,
    most_bytes: int,
    limits: Limits = DEFAULT_LIMITS,
) -> Generator[tuple[T, VideoInfo | None], None, None]:
    """Yield each thing with a row of the catalog for the file at its URL, fetched to ``folder``.

    The next files are fetched meanwhile, ``AHEAD`` at a time, and one process inspects all of them.
    What cannot be fetched is refused, with the reason. A thing whose URL is empty has no row, and
    comes at once if no file before it is waited for.
    """
    stopped = Event()
    waiting: deque[tuple[T, str, Path, AsyncResult[None] | None]] = deque()
    # Its threads do not keep the process alive: a download may be silent for a minute.
    with ThreadPool(AHEAD) as threads, probe_pool(1, limits) as pool:

        def arrived() -> tuple[T, VideoInfo | None]:
            one, url, path, download = waiting.popleft()
            if download is None:
                return one, None
            try:
                download.get()
            except VideoError as error:
                reason = str(error).removeprefix(f"{without_passwords(url)}: ").rstrip(".")
                return one, refused(FoundFile(path.name), root=folder, reason=reason)
            pool.give(ProbeJob(folder, look_at(path, root=folder)))
            (report,) = pool.wait()
            return one, row_of(report, limits)

        try:
            for number, (url, one) in enumerate(todo):
                # The suffix is kept for messages only: what a file is shows its content.
                path = folder / f"{number}{PurePosixPath(unquote(urlsplit(url).path)).suffix}"
                options = {"most_bytes": most_bytes, "stopped": stopped}
                download = threads.apply_async(fetch, (url, path), options) if url else None
                waiting.append((one, url, path, download))
                while waiting and (waiting[0][3] is None or len(waiting) > AHEAD):
                    yield arrived()
            while waiting:
                yield arrived()
        finally:
            stopped.set()
