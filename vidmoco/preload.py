"""Import what takes long and much memory once, in the process that workers are forked from."""

import gc
import os
import threading

_PARENT = os.getppid()
_LOADED = threading.Event()


def _end_with_parent() -> None:
    """End if the parent is killed meanwhile: Python looks for that only when all is imported."""
    while not _LOADED.wait(0.2):
        if os.getppid() != _PARENT:
            os._exit(1)


_WATCH = threading.Thread(target=_end_with_parent, daemon=True)
_WATCH.start()

gc.disable()  # as in ``vidmoco.ahead``
import vidmoco.data.pair_worker  # noqa: E402
import vidmoco.features.batch_reader  # noqa: E402
import vidmoco.frames.writer  # noqa: E402
import vidmoco.video.forward_reader  # noqa: E402, F401

_LOADED.set()
_WATCH.join()  # what is forked from here has no other thread

# A garbage collection writes into every object it visits; a page that is written is shared no more.
gc.collect()
gc.freeze()
gc.enable()
