import os
from pathlib import Path

import pytest

from vidmoco.closed_streams import silence, write_if_read


def pipe():
    reader, writer = os.pipe()
    return reader, os.fdopen(writer, "w")


def test_a_pipe_that_nobody_reads_is_silent_from_then_on():
    reader, stream = pipe()
    write_if_read(stream, "read")
    assert os.read(reader, 100) == b"read"
    os.close(reader)
    write_if_read(stream, "lost")
    with stream:
        stream.write("lost too")


def test_a_pipe_may_be_an_error():
    reader, stream = pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        write_if_read(stream, "lost", also_to_pipe=False)
    silence(stream)
    stream.close()


def test_a_full_disk_is_an_error():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("w") as stream:
        with pytest.raises(OSError, match="No space"):
            write_if_read(stream, "x")
        silence(stream)
