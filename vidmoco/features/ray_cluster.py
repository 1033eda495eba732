"""The Ray cluster of an extraction: joined by the driver, and watched."""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vidmoco.errors import ConfigError
from vidmoco.text import reason_of

# RFC 9113, 3.4: who speaks HTTP/2, as gRPC does, answers this with a frame of its settings.
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_HTTP2_SETTINGS = b"\4"
_BETWEEN_LOOKS = 1.0  # seconds
# Seconds. A head may be started again; after 60 of them Ray ends this process, without a word.
_HEAD_PATIENCE = 30.0
_FORMS = (
    "Give HOST:PORT as `ray start --head` prints it, auto (the cluster that runs on this machine) "
    "or local (a new one here), or leave it out."
)
_ADVICE = (
    "Finished videos are kept. If you started the cluster, start it again; then give the same "
    "command."
)


@contextmanager
def cluster(address: str | None) -> Iterator["Lifelines"]:
    """Join a cluster for a ``with`` block, unless this process has joined one.

    Yields what tells whether it is there.

    Raises:
        ConfigError: nothing answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.exceptions import RayError

    if ray.is_initialized():
        yield Lifelines()
        return
    given = address or os.environ.get("RAY_ADDRESS")
    source = "--ray-address" if address else "RAY_ADDRESS"
    if given not in (None, "", "auto", "local"):
        _require_answer(given, source=source)
    try:
        ray.init(given, log_to_driver=False, logging_level=logging.ERROR)
    except (RayError, RuntimeError, ValueError, OSError) as error:
        if given == "auto" and isinstance(error, ConnectionError):
            raise ConfigError(
                f"{source} is auto, and no Ray cluster runs on this machine. {_FORMS}"
            ) from error
        where = f"the Ray cluster at {given}" if given else "a Ray cluster of this machine"
        reason = reason_of(error)
        raise ConfigError(f"{where} cannot be used: {reason}") from error
    try:
        yield Lifelines()
    finally:
        ray.shutdown()


def nodes() -> list[dict[str, Any]]:
    """Return the nodes, as Ray lists them."""
    import ray

    return list(ray.nodes())  # type: ignore[no-untyped-call]


class Lifelines:
    """The processes of Ray that the driver cannot do without.

    Ray ends a process that has lost one of them, without a line that a user understands. So they
    are looked at before it does: the one of this machine is missed after ten seconds or more, the
    head after a minute.
    """

    def __init__(self) -> None:
        import ray

        context = ray.get_runtime_context()
        here = context.get_node_id()
        self._raylets = [
            (node["NodeManagerAddress"], node["NodeManagerPort"])
            for node in nodes()
            if node["NodeID"] == here
        ]
        self._head = context.gcs_address
        self._looked = self._answered = time.monotonic()
        self.are_cut = False
        """Whether one has ended."""

    def require(self) -> None:
        """See that they are there.

        Raises:
            ConfigError: one has ended.
        """
        if time.monotonic() - self._looked < _BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        # It is on this machine: another error, such as of too many open files, says nothing of it.
        if any(isinstance(_failure(one), ConnectionRefusedError) for one in self._raylets):
            self.are_cut = True
            raise ConfigError(f"The process of Ray on this machine (raylet) has ended. {_ADVICE}")
        host, _, port = self._head.rpartition(":")
        if _failure((host.strip("[]"), int(port))) is None:
            self._answered = time.monotonic()
        elif time.monotonic() - self._answered > _HEAD_PATIENCE:
            self.are_cut = True
            raise ConfigError(
                f"The head of the Ray cluster, {self._head}, has ended, or cannot be reached. "
                f"{_ADVICE}"
            )


def _failure(address: tuple[str, int]) -> OSError | None:
    """Return why nothing can be asked at an address, or None."""
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError as error:
        return error
    return None


def _require_answer(address: str, *, source: str) -> None:
    """Refuse an address where no cluster listens, for which Ray waits many minutes.

    Args:
        address: what is given.
        source: the flag or variable that gives it.

    Raises:
        ConfigError: it is no address, or nothing or something else listens there.
    """
    if "://" in address:
        raise ConfigError(
            f"{source} is {address}. Give HOST:PORT of the cluster (port 6379) on one of its "
            "nodes; `ray job submit` runs the command there."
        )
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        reason = "that is no address, and nothing listens there"
    else:
        reason = _answer((host.strip("[]"), int(port)))
    if reason:
        raise ConfigError(f"No Ray cluster answers at {address!r} ({source}): {reason}. {_FORMS}")


def _answer(address: tuple[str, int]) -> str:
    """Return why no Ray answers at an address, or nothing."""
    try:
        with socket.create_connection(address, timeout=10) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return ""
            connection.sendall(_HTTP2_HELLO)
            if connection.recv(4)[3:] == _HTTP2_SETTINGS:
                return ""
            return "something else than Ray listens there"
    except (OSError, UnicodeError) as error:  # the latter of a host with too long a name
        return f"nothing listens there ({getattr(error, 'strerror', None) or error})"
