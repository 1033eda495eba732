"""Several processes that share videos: one at a time has a video, and a dead one has none.

    __vidmoco__/workers/ID       who works on the folder; written again every few seconds
    __vidmoco__/claims/VIDEO     who has a video, or that it is not to be tried again, and why

A claim is made by creating a file that must not be there, which one process alone can. The claim of
a process that has died is not changed, because two could do so at once: the name of the video, with
that of the dead process behind it, is claimed instead.
"""

import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidmoco.errors import ConfigError
from vidmoco.features.output_folder import OutputFolder
from vidmoco.features.remote_folder import INTERNAL
from vidmoco.json_text import parse_json

WORKERS, CLAIMS = f"{INTERNAL}/workers", f"{INTERNAL}/claims"
_BETWEEN_SIGNS = 5.0  # seconds
# Seconds without a sign of life. assumption: longer than what file servers and their clients cache.
EXPIRY = 120.0
_BETWEEN_LOOKS = 0.5
_ID = re.compile("[0-9a-f]{8}")
_PROCESS = uuid.uuid4().hex
"""This process: its number may have been another's, and in a container every process is 1."""


class Worker:
    """This process, among those that write to a folder at the same time."""

    def __init__(self, folder: OutputFolder) -> None:
        self.id = uuid.uuid4().hex[:8]
        self.others: frozenset[str] = frozenset()
        """Other processes that are alive, as of the last look."""
        self.extracting: frozenset[str] = frozenset()
        """Those of them that write parts."""
        self.had_company = False
        """Whether there was another process at any time."""
        self._folder, self._extracts = folder, True
        self._labels: str | None = None
        self._other_labels: set[Any] = set()
        self._began = time.monotonic()
        self._held: dict[str, list[str]] = {}
        self._closed: dict[str, str] = {}  # claims that say so, which is for good: read once
        self._trouble: ConfigError | None = None
        self._ended, self._signing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="claims")

    def __enter__(self) -> "Worker":
        self._sign()
        self.look()
        if not self.others:  # claims of before; failed videos are tried again
            self._forget()
        self._thread.start()
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        self._ended.set()
        self._thread.join()
        try:
            self.release(*self._held)
            self.look()
            if not self.others:
                self._forget(to_the_end=True)
            self._folder.delete(f"{WORKERS}/{self.id}")
        except ConfigError:
            if error is None:  # else the first error says it
                raise

    def _sign(self) -> None:
        with self._signing:  # two threads do, and the temporary file has the name of the process
            state = _here() | {"process": _PROCESS, "extracts": self._extracts}
            state |= {"labels": self._labels}
            self._folder.write(f"{WORKERS}/{self.id}", json.dumps(state).encode())

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(_BETWEEN_SIGNS):
            try:
                self._sign()
                self.look()
            except ConfigError as error:  # it may pass, and ``claim`` says it if it does not
                if time.monotonic() - last > EXPIRY:
                    self._trouble = error
            else:
                last, self._trouble = time.monotonic(), None

    def look(self) -> None:
        """See who is alive."""
        changed = {
            name: time_
            for name, time_ in self._folder.changed(WORKERS).items()
            if _ID.fullmatch(name)
        }
        now = changed.pop(self.id, max(changed.values(), default=0.0))
        alive = {}
        for name, time_ in changed.items():
            state = self._read(f"{WORKERS}/{name}")
            if state and now - time_ <= EXPIRY and _may_run(state):
                alive[name] = state
        self.others = frozenset(alive)
        self.extracting = frozenset(name for name in alive if alive[name].get("extracts"))
        self._other_labels = {state.get("labels") for state in alive.values()} - {None}
        self.had_company |= bool(alive)

    def give_labels(self, labels: str) -> None:
        """Say which labels this process gives, by a hash of them, and refuse to work beside others.

        Of two that begin at once, one or both see the other.

        Raises:
            ConfigError: another process, which may have died a moment ago, gives other labels.
        """
        self._labels = labels
        self._sign()
        self.look()
        if self._other_labels - {labels}:
            raise ConfigError(
                f"Another process writes to {self._folder.name} with other --labels. Wait until it "
                "has ended, or give the same. (One that died on another machine counts for "
                f"{EXPIRY:.0f} s.)"
            )

    def is_alive(self, name: str) -> bool:
        """Return whether a process that wrote here is this one or still runs."""
        if name != self.id and name not in self.others:
            self.look()
        return name == self.id or name in self.others

    def claim(self, video: str) -> bool:
        """Take a video, by its id, if nobody has it and it is not closed.

        Raises:
            ConfigError: the folder takes no more, or took no sign of life for so long that others
                consider this process dead.
        """
        if self._trouble is not None:
            raise self._trouble
        name, names = video, list[str]()
        while True:
            names.append(name)
            if self._folder.create(f"{CLAIMS}/{name}", json.dumps({"worker": self.id}).encode()):
                self._held[video] = names
                return True
            claim = self._read(f"{CLAIMS}/{name}")
            if claim == {"worker": self.id} and video not in self._held:
                self._held[video] = names  # a store made it, and its answer was lost
                return True
            if claim is None or "closed" in claim or self._is_held(name, claim):
                return False
            name = f"{name}.{claim.get('worker', 'nobody')}"

    def _is_held(self, name: str, claim: dict[str, Any]) -> bool:
        if "worker" in claim:
            return self.is_alive(str(claim["worker"]))
        # It has been created and not yet written, or its process died in that moment.
        return self._is_new(name)

    def _is_new(self, name: str) -> bool:
        times = self._folder.changed(CLAIMS) | self._folder.changed(WORKERS)
        return name in times and max(times.values()) - times[name] < EXPIRY

    def finish(self, *videos: str) -> None:
        """Let go of videos whose rows are where others see them.

        Those that began before this process look for it every few seconds only, and who has no
        company does not look for rows of others. Until all have seen it, its videos stay closed.
        """
        if self.others and time.monotonic() - self._began < EXPIRY:
            for video in videos:
                self.close(video)
        else:
            self.release(*videos)

    def release(self, *videos: str) -> None:
        """Let go of videos that others may take."""
        for video in videos:
            self._folder.delete(*(f"{CLAIMS}/{name}" for name in self._held.pop(video)))

    def close(self, video: str, reason: str = "") -> None:
        """Let go of a video that is not to be tried again while others are at work."""
        *_, last = self._held.pop(video)
        claim = {"worker": self.id, "closed": reason}
        self._folder.write(f"{CLAIMS}/{last}", json.dumps(claim).encode())

    def closed(self) -> dict[str, str]:
        """Return why videos are closed, by whichever process, by their ids."""
        names = self._folder.sizes(CLAIMS)
        for name in names.keys() - self._closed.keys():
            claim = self._read(f"{CLAIMS}/{name}") or {}
            if "closed" in claim:
                self._closed[name] = str(claim["closed"])
        there = names.keys() & self._closed.keys()
        return {name.partition(".")[0]: self._closed[name] for name in there}

    def declare_dead(self, name: str) -> None:
        """Give the videos of a process that is known to have died to the others at once."""
        self._folder.delete(f"{WORKERS}/{name}")

    def has_finished(self) -> None:
        """Say that this process extracts no more, so that others may tidy up what it wrote."""
        self._extracts = False
        self._sign()

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Do something that one process at a time may do, and wait for the others."""
        while not self.claim(what):
            time.sleep(_BETWEEN_LOOKS)
        yield
        self.release(what)

    def once(self, what: str, do: Callable[[], None]) -> None:
        """Do something that one process does for all that are at work, and wait until it is done.

        ``do`` may be done again if the process dies meanwhile.
        """
        while not self.claim(what):
            if what in self.closed():
                return
            time.sleep(_BETWEEN_LOOKS)
        do()
        self.close(what)

    def _forget(self, *, to_the_end: bool = False) -> None:
        """Delete what dead and finished processes have left, and at the end this one's claims."""
        for name in self._folder.sizes(WORKERS):
            if not self.is_alive(name) and not self._is_being_written(name):
                self._folder.delete(f"{WORKERS}/{name}")
        for name in self._folder.sizes(CLAIMS):
            claim = self._read(f"{CLAIMS}/{name}")
            own = to_the_end and claim is not None and claim.get("worker") == self.id
            if claim is not None and (own or not self._is_held(name, claim)):
                self._folder.delete(f"{CLAIMS}/{name}")

    def _is_being_written(self, name: str) -> bool:
        """Return whether a file is the sign of life that a process which begins may be writing."""
        if not name.endswith(".part"):
            return False
        state = self._read(f"{WORKERS}/{name}")
        return self._is_new(name) and (not state or _may_run(state))

    def _read(self, name: str) -> dict[str, Any] | None:
        """Return what a file says, nothing if it is damaged, and None if it is gone."""
        try:
            text = self._folder.read(name)
        except FileNotFoundError:
            return None
        try:
            found = parse_json(text.decode())
        except ValueError:  # it was created, and its process died before it wrote
            return {}
        return found if isinstance(found, dict) else {}


def _here() -> dict[str, Any]:
    """Return the machine, where numbers of processes count on it, and the number of this one."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())  # containers may share a host name,
    except OSError:
        namespace = ""
    try:
        # and machines too, on each of which the first namespace has the same name.
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return {
        "host": socket.gethostname(),
        "namespace": namespace,
        "boot": boot,
        "pid": os.getpid(),
    }


def _may_run(state: dict[str, Any]) -> bool:
    """Return False if a process was one of this machine or container, and is gone."""
    here, pid = _here(), state.get("pid")
    if any(state.get(key, here[key]) != here[key] for key in ("host", "namespace", "boot")):
        return True
    if not isinstance(pid, int):
        return True
    if pid == here["pid"]:
        return state.get("process") == _PROCESS  # else an earlier process of this number
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
