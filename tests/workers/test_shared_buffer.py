import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
from full_disk import no_file_larger_than

from vidmoco.errors import ConfigError
from vidmoco.workers.shared_buffer import SharedBuffer


def write_in_another_process(buffer):
    assert buffer.memory[2:4] == b"ab"
    buffer.memory[0:2] = b"xy"


def test_both_processes_see_the_memory():
    buffer = SharedBuffer(8)
    assert bytes(buffer.memory) == bytes(8)
    buffer.memory[2:4] = b"ab"
    process = multiprocessing.get_context("spawn").Process(
        target=write_in_another_process, args=(buffer,)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    assert bytes(buffer.memory) == b"xyab" + bytes(4)


def num_open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_file_is_closed_and_the_memory_stays():
    before = num_open_files()
    memory = SharedBuffer(8).memory
    assert num_open_files() <= before + 1  # mmap keeps one of its own
    memory[0:1] = b"z"
    memory.close()
    assert num_open_files() == before


def test_nothing_is_said_when_python_ends():
    """What another module holds goes after the modules that it would need."""
    code = """
import os
from vidmoco.workers.shared_buffer import SharedBuffer
os.held = SharedBuffer(8)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.PIPE)
    assert done.stderr == b""


def test_a_limit_on_files_is_told():
    with no_file_larger_than(1000), pytest.raises(ConfigError, match=r"ulimit -f.*it needs 2 MiB"):
        SharedBuffer(2**21)


def test_python_ends_while_it_is_there():
    code = """
import sys
from vidmoco.workers.shared_buffer import SharedBuffer
sys.kept = SharedBuffer(8)  # which is gone last
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_process_may_still_be_started_when_python_ends():
    """By a thread, which would send the number of a closed file, or of another one."""
    code = """
import atexit
import os
import sys
from vidmoco.workers.shared_buffer import SharedBuffer
atexit.register(lambda: print(os.fstat(sys.kept._file).st_size))
sys.kept = SharedBuffer(8)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("8\n", "")
