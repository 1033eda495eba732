"""The program ``vidmoco``: the command line in a process of its own."""

import atexit
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from vidmoco.cli.main import main
from vidmoco.closed_streams import write_if_read


def program(run: Callable[[], int] = main) -> NoReturn:
    """Run the command of ``sys.argv``, or what else ``run`` does, and end with its exit code.

    What Python does at its end, it does: it waits for threads and runs what other modules have
    registered. It only leaves its objects where they are. To free those of PyTorch one by one takes
    a second, and the system takes them back at once.
    """
    codes: list[int] = []
    atexit.register(_end, codes)  # what is registered first is called last
    codes.append(run())
    sys.exit(codes[0])


def _end(codes: list[int]) -> None:
    """End the process, unless an exception decides how it ends."""
    if codes:
        for stream in (sys.stdout, sys.stderr):
            write_if_read(stream, "")
        os._exit(codes[0])
