"""Those of a real server are in test_fetch.py."""

import errno
import re
import socket
import ssl

import pytest

from vidmoco.video.fetch_errors import EndedEarly, may_pass, why_not_fetched


class Answered(Exception):
    def __init__(self, status):
        self.status = status


class ServerDisconnectedError(Exception):
    """As aiohttp calls it."""


class ClientPayloadError(Exception):
    """As aiohttp calls it."""


@pytest.mark.parametrize(
    ("cause", "reason", "passes"),
    [
        (Answered(403), "403 Forbidden", False),
        (Answered(599), "599", True),
        (Answered(429), "429 Too Many Requests", True),
        (socket.gaierror(-2, "Name or service not known"), "the host is not known", False),
        (ssl.SSLError(1, "bad certificate"), "no secure connection: .*bad certificate", False),
        (TimeoutError(), "the server sends nothing any more", True),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "Connection refused", False),
        (ConnectionResetError(errno.ECONNRESET, "x"), "Connection reset by peer", True),
        (BrokenPipeError(errno.EPIPE, "x"), "Broken pipe", True),
        (OSError(errno.ENOSPC, "x"), "No space left on device", False),
        (ClientPayloadError("400, message"), "the connection ended before the file", True),
        (ServerDisconnectedError("Server disconnected"), "Server disconnected", True),
        (EndedEarly("it ends"), "it ends", True),
        (ValueError(), "FileNotFoundError|http://h/a", False),
    ],
)
def test_the_cause_says_why(cause, reason, passes):
    try:
        try:
            raise cause
        except Exception as error:
            raise FileNotFoundError("http://h/a") from error
    except FileNotFoundError as error:
        assert may_pass(error) == passes
        assert re.fullmatch(reason, why_not_fetched(error))


def test_errors_without_a_cause():
    assert why_not_fetched(FileNotFoundError("/gone")) == "there is no such file"
    assert why_not_fetched(KeyError()) == "KeyError"
    loop = ValueError("a")
    loop.__cause__ = loop
    assert why_not_fetched(loop) == "a"
