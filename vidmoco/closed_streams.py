"""Write to a terminal or a pipe that may be closed. rich is not needed."""

import errno
import os
import stat
from typing import Any


def write_if_read(stream: Any, text: str, *, also_to_pipe: bool = True) -> None:
    """Write and flush; if the terminal or the reader is gone, be silent from now on.

    Args:
        stream: standard error or output; None if it was closed when Python began (``>&-``).
        text: may be empty, to flush only.
        also_to_pipe: do so for a pipe too.

    Raises:
        OSError: it cannot be written for another reason, such as a full disk.
    """
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if error.errno == errno.EIO:
            is_gone = stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)  # and no bad disk
        else:
            is_gone = also_to_pipe and error.errno == errno.EPIPE
        if not is_gone:
            raise
        silence(stream)


def silence(stream: Any) -> None:
    """Drop what is written to a stream, also what Python writes when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
