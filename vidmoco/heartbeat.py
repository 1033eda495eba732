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
from datetime import timedelta

import torch.distributed as dist

SECONDS_OF_SILENCE = 90.0
"""After these, a process is given up. torchrun then kills the others within 30 s."""
EXIT_CODE = 2
_SECONDS_BETWEEN = 5.0


class Heartbeat:
    """A thread that counts, and ends this process when the next rank no longer does."""

    def __init__(self, rank: int, world_size: int) -> None:
        self._rank, self._next, self._size = rank, (rank + 1) % world_size, world_size
        self._ended = threading.Event()
        # Its own connection: another thread may wait in that of the group.
        self._store = dist.TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            wait_for_workers=False,
            timeout=timedelta(seconds=SECONDS_OF_SILENCE / 4),
        )
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Say that this process has done its part, and stop looking."""
        self._ended.set()
        self._thread.join()
        try:
            self._store.set(self._key(self._rank), "done")
        except RuntimeError:  # the store has ended: so has the job
            return

    def _key(self, rank: int) -> str:
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return f"vidmoco/heartbeat/{attempt}/{rank}"

    def _watch(self) -> None:
        count, last, seen = 0, b"", time.monotonic()
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                count += 1
                self._store.set(self._key(self._rank), str(count))
                key = self._key(self._next)
                found = self._store.get(key) if self._store.check([key]) else b""
                if found == b"done":
                    return
            except RuntimeError:  # the store does not answer: rank 0 or torchrun has it
                found = last
            now = time.monotonic()
            if found != last:
                last, seen = found, now
            elif now - seen > SECONDS_OF_SILENCE:
                self._give_up()
            self._ended.wait(_SECONDS_BETWEEN)
            slept = time.monotonic() - now
            if slept > _SECONDS_BETWEEN + SECONDS_OF_SILENCE / 4:  # this process was stopped
                seen += slept + (now - began)

    def _give_up(self) -> None:
        text = (
            f"vidmoco: process {self._next} of {self._size} gave no sign of life for "
            f"{SECONDS_OF_SILENCE:.0f} s: it is stopped, or its machine is lost. The job ends; "
            "start it again, a training with --resume.\n"
        )
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())
        os._exit(EXIT_CODE)  # the main thread waits in a collective, and cannot be woken
