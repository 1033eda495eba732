"""Import what takes seconds while something else is done."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

_SLOW = ("torch", "timm")


def say_loading() -> None:
    """Say what takes a few seconds now, in the first process of a job."""
    if "torch" not in sys.modules and os.environ.get("RANK", "0") == "0":
        from rich.console import Console

        from vidmoco.console import say

        say(Console(stderr=True), "Loading PyTorch …")


@contextmanager
def libraries_meanwhile() -> Iterator[None]:
    """Import torch and timm in a thread while the block runs, and wait for them at its end.

    The block must import neither: two threads in the middle of circular imports may see half a
    module. An error in the block is raised at once, and the thread ends after the library
    that it imports.
    """
    say_loading()
    stopped = Event()
    thread = Thread(target=_import, args=(stopped,), name="imports")
    thread.start()
    try:
        yield
    except BaseException:
        stopped.set()
        raise
    thread.join()


def _import(stopped: Event) -> None:
    with suppress(ImportError):  # who needs it imports it again, and raises this
        for name in _SLOW:
            if not stopped.is_set():
                importlib.import_module(name)
