"""Notice that a process of a job is stopped, lost or hangs, which no collective does.

A killed process closes its connections, and the others get an error at once. One that is stopped
(SIGSTOP, a hanging disk, a machine without network) keeps them open, and the others would wait for
the whole timeout of the group, which is long because rank 0 may work alone for hours. So each
process counts up in the job's store, and looks at the count of the next one. One that hangs still
counts, for a thread does that: it looks at its own watch.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch.distributed as dist

SECONDS_OF_SILENCE = 90.0
"""After these, a process is given up. torchrun then kills the others within 30 s."""
SECONDS_TO_HANG = 1800.0
"""After these, what must end soon hangs: the default limit of collectives of torch."""
EXIT_CODE = 2
_SECONDS_BETWEEN = 5.0


class Heartbeat:
    """Two threads: one counts and reads, one ends this process when nothing new is read.

    The second one also ends it when it hangs.
    """

    def __init__(self, rank: int, world_size: int, start: str) -> None:
        """Begin. ``start`` is the name of this start of the job (``rendezvous``)."""
        self._start = start
        self._rank, self._next, self._size = rank, (rank + 1) % world_size, world_size
        self._ended, self._next_is_done = threading.Event(), False
        self._seen = time.monotonic()
        self._watched: tuple[str, float] | None = None
        # Its own connection: another thread may wait in that of the group.
        self._store: Any = dist.TCPStore(  # type: ignore[attr-defined]
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            wait_for_workers=False,
            timeout=timedelta(seconds=SECONDS_OF_SILENCE / 4),
        )
        self._threads = [
            threading.Thread(target=part, name="heartbeat", daemon=True)
            for part in (self._count, self._judge)
        ]
        for thread in self._threads:
            thread.start()

    @contextmanager
    def watching(self, what: str) -> Iterator[None]:
        """End this process if the block takes longer than ``SECONDS_TO_HANG``.

        Args:
            what: this process does meanwhile, such as "reading frames".
        """
        self._watched = what, time.monotonic()
        try:
            yield
        finally:
            self._watched = None

    def end(self) -> None:
        """Say that this process has done its part, and stop looking."""
        self._ended.set()
        for thread in self._threads:
            thread.join(_SECONDS_BETWEEN)  # the store may be gone: so is the job

    def _key(self, rank: int) -> str:
        return f"{self._start}/heartbeat/{rank}"

    def _count(self) -> None:
        count, last = 0, b""
        key = self._key(self._next)
        while not self._ended.is_set():
            count += 1
            # A store of a stopped process lets each call wait for ever; one that is slow may answer
            # the next time.
            with suppress(RuntimeError):
                self._store.set(self._key(self._rank), str(count))
                found = self._store.get(key) if self._store.check([key]) else last
                self._next_is_done = found == b"done"
                if found != last:
                    last, self._seen = found, time.monotonic()
            self._ended.wait(_SECONDS_BETWEEN)
        with suppress(RuntimeError):
            self._store.set(self._key(self._rank), "done")

    def _judge(self) -> None:
        stopped = 0.0
        while True:
            began = time.monotonic()
            if self._ended.wait(_SECONDS_BETWEEN):
                return
            now = time.monotonic()
            if now - began > _SECONDS_BETWEEN + SECONDS_OF_SILENCE / 4:  # this process was stopped
                stopped = now
            watched = self._watched
            if watched and now - max(watched[1], stopped) > SECONDS_TO_HANG:
                minutes = f"{SECONDS_TO_HANG / 60:.4g} minutes"
                self._give_up(self._rank, f"hangs: it has been {watched[0]} for {minutes}")
            if not self._next_is_done and now - max(self._seen, stopped) > SECONDS_OF_SILENCE:
                silence = f"gave no sign of life for {SECONDS_OF_SILENCE:.0f} s"
                self._give_up(self._next, f"{silence}: it is stopped, or its machine is lost")

    def _give_up(self, rank: int, reason: str) -> None:
        text = (
            f"vidmoco: process {rank} of {self._size} {reason}. The job ends; start it again, a "
            "training with --resume auto.\n"
        )
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())
        os._exit(EXIT_CODE)  # the main thread waits in a collective, and cannot be woken
