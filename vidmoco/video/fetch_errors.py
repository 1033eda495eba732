"""Why a file cannot be fetched, and whether that may pass: of the errors of libraries below fsspec.

fsspec hides what the server said behind a ``FileNotFoundError`` that has only the URL.
"""

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus

_MOST_CAUSES = 16  # assumption: more are a loop
_BROKEN = (errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE)
# Of aiohttp, which is imported only where a URL needs it.
_CUT = ("ClientPayloadError", "ServerDisconnectedError")


class EndedEarly(Exception):
    """A file that has fewer bytes than the server says."""


def why_not_fetched(error: BaseException) -> str:
    """Return the reason of an error in words; it may have passwords of URLs."""
    causes = list(_causes(error))
    for one in causes:
        if status := _status(one):
            return f"{status} {_phrase(status)}".rstrip()
    for one in causes:
        if isinstance(one, socket.gaierror):
            return "the host is not known"
        if isinstance(one, ssl.SSLError):
            return f"no secure connection: {_text(one)}"
        if isinstance(one, TimeoutError):
            return "the server sends nothing any more"
        if type(one).__name__ == "ClientPayloadError":
            return "the connection ended before the file"
        if type(one).__name__ == "TooManyRedirects":
            return "the server sends from one URL to the next without an end"
    for one in reversed(causes):
        if number := _number(one):
            return os.strerror(number)
    if type(causes[-1]) is FileNotFoundError:
        return "there is no such file"
    return next(filter(None, map(_text, reversed(causes))), type(error).__name__)


def may_pass(error: BaseException) -> bool:
    """Return whether another attempt may succeed."""
    causes = list(_causes(error))
    statuses = [status for one in causes if (status := _status(one))]
    if statuses:
        return statuses[0] == HTTPStatus.TOO_MANY_REQUESTS or statuses[0] >= 500
    return any(
        isinstance(one, TimeoutError | EndedEarly)
        or type(one).__name__ in _CUT
        or _number(one) in _BROKEN
        for one in causes
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those behind it, the first one last."""
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def _status(error: BaseException) -> int:
    """Return the status of a server's answer, or 0."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) and status >= 400 else 0


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


def _number(error: BaseException) -> int:
    """Return the system's number of an error, or 0."""
    number = error.errno if isinstance(error, OSError) else None
    return number if isinstance(number, int) and number > 0 else 0


def _text(error: BaseException) -> str:
    return " ".join(str(error).split())
