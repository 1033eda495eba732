"""Import torch and timm, which takes seconds, at once or while something else is done."""

import atexit
import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from vidmoco.interrupt import held_back

_SLOW = ("torch", "timm")


def load_libraries() -> None:
    """Import torch and timm, and say so in the first process of a job. It takes a few seconds.

    Raises:
        ImportError: a library cannot be loaded.
    """
    with libraries_meanwhile():
        pass


@contextmanager
def libraries_meanwhile() -> Iterator[None]:
    """Import torch and timm in a thread while the block runs, and wait for them at its end.

    The block must import neither: two threads in the middle of circular imports may see half a
    module. An error in the block is raised at once, and the thread ends after the library
    that it imports. What a signal raises comes in the block too, but only after that.

    Raises:
        ImportError: a library cannot be loaded. PyTorch says why at its first import only.
    """
    if "torch" not in sys.modules and os.environ.get("RANK", "0") == "0":
        from rich.console import Console

        from vidmoco.console import say

        say(Console(stderr=True), "Loading PyTorch …")
    stopped = Event()
    errors: list[ImportError] = []
    with held_back(stopped.set) as let_go:
        thread = Thread(target=_import, args=(stopped, errors, let_go), name="imports")
        thread.start()
        try:
            yield
        except BaseException:
            stopped.set()
            raise
        thread.join()
    if errors:
        raise errors[0]


def _import(stopped: Event, errors: list[ImportError], let_go: Callable[[], None]) -> None:
    """Import, and then let signals act."""
    try:
        _import_uncollected(stopped, errors)
    finally:
        let_go()


def _import_uncollected(stopped: Event, errors: list[ImportError]) -> None:
    """Import without garbage collections: each would visit all that is there, a fifth of the time.

    Later ones need not visit it either: nothing of it is garbage until Python ends.
    """
    if all(name in sys.modules for name in _SLOW):
        return
    was_enabled = gc.isenabled()
    gc.collect()  # what is garbage now should not be kept
    gc.disable()
    try:
        for name in _SLOW:
            if not stopped.is_set():
                importlib.import_module(name)
    except ImportError as error:
        errors.append(error)
    gc.freeze()
    atexit.register(gc.unfreeze)  # libraries report what is not freed at the end as leaks
    if was_enabled:
        gc.enable()
