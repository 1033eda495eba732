"""Import what takes seconds while something else is done."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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

    Raises:
        ImportError: a library cannot be loaded. PyTorch says why at its first import only.
    """
    say_loading()
    stopped = Event()
    errors: list[ImportError] = []
    thread = Thread(target=_import, args=(stopped, errors), name="imports")
    thread.start()
    try:
        yield
    except BaseException:
        stopped.set()
        raise
    thread.join()
    if errors:
        raise errors[0]


def _import(stopped: Event, errors: list[ImportError]) -> None:
    try:
        for name in _SLOW:
            if not stopped.is_set():
                importlib.import_module(name)
    except ImportError as error:
        errors.append(error)
