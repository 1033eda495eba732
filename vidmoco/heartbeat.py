"""Notice that another process of a job is stopped or lost, which no collective does.

A killed process closes its connections, and the others get an error at once. One that is stopped
(SIGSTOP, a hanging disk, a machine without network) keeps them open, and the others would wait for
the whole timeout of the group, which is long because rank 0 may work alone for hours. So each
process counts up in the job's store, and looks at the count of the next one.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch.distributed as dist

SECONDS_OF_SILENCE = 90.0
"""After these, a process is given up. torchrun then kills the others within 30 s."""
EXIT_CODE = 2
_SECONDS_BETWEEN = 5.0


class Heartbeat:
    """Two threads: one counts and reads, one ends this process when nothing new is read."""

    def __init__(self, rank: int, world_size: int, start: str) -> None:
        """Begin. ``start`` is the name of this start of the job (``rendezvous``)."""
        self._start = start
        self._rank, self._next, self._size = rank, (rank + 1) % world_size, world_size
        self._ended, self._next_is_done = threading.Event(), False
        self._seen = time.monotonic()
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

    def end(self) -> None:
        """Say that this process has done its part, and stop looking."""
        self._ended.set()
        for thread in self._threads:
            thread.join(_SECONDS_BETWEEN)  # the store may be gone: so is the job

    def _key(self, rank: int) -> str:
        return f"{self._start}/heartbeat/{rank}"

    def _count(self) -> None:
        count, last = 0, b""
        # A store of a stopped process lets each call wait for ever.
        with suppress(RuntimeError):
            while not self._ended.is_set():
                count += 1
                self._store.set(self._key(self._rank), str(count))
                key = self._key(self._next)
                found = self._store.get(key) if self._store.check([key]) else last
                self._next_is_done = found == b"done"
                if found != last:
                    last, self._seen = found, time.monotonic()
                self._ended.wait(_SECONDS_BETWEEN)
            self._store.set(self._key(self._rank), "done")

    def _judge(self) -> None:
        while not self._next_is_done:
            began = time.monotonic()
            if self._ended.wait(_SECONDS_BETWEEN):
                return
            slept = time.monotonic() - began
            if slept > _SECONDS_BETWEEN + SECONDS_OF_SILENCE / 4:  # this process was stopped
                self._seen += slept
            elif time.monotonic() - self._seen > SECONDS_OF_SILENCE and not self._next_is_done:
                self._give_up()

    def _give_up(self) -> None:
        text = (
            f"vidmoco: process {self._next} of {self._size} gave no sign of life for "
            f"{SECONDS_OF_SILENCE:.0f} s: it is stopped, or its machine is lost. The job ends; "
            "start it again, a training with --resume auto.\n"
        )
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())
        os._exit(EXIT_CODE)  # the main thread waits in a collective, and cannot be woken
