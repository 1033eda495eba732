import os
import subprocess
import sys

import pytest

WITH = """
import atexit, sys, threading, time
from vidmoco.cli.program import program

def command():
    atexit.register(print, "registered later")
    threading.Thread(target=lambda: (time.sleep(0.2), print("a thread"))).start()
    sys.stdout.write("no newline, ")
    {ends}

class Freed:
    def __del__(self):
        print("freed")
freed = Freed()
program(command)
"""


def end_of(ends):
    """How the program ends whose command ends in this way."""
    words = [sys.executable, "-c", WITH.format(ends=ends)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [0, 1, 2, 141])
def test_it_ends_with_its_code_and_frees_nothing(code):
    done = end_of(f"return {code}")
    assert done.stdout == "no newline, a thread\nregistered later\n"
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize(
    ("ends", "code", "told"),
    [("raise ValueError('ours')", 1, "ValueError: ours"), ("sys.exit(2)", 2, "")],
)
def test_an_exception_ends_it_as_any_program(ends, code, told):
    done = end_of(ends)
    assert done.returncode == code
    assert done.stderr.rstrip().endswith(told)
    assert done.stdout.endswith("registered later\nfreed\n")


@pytest.mark.parametrize("stream", [1, 2])
@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["nonsense"], 2)])
def test_a_stream_may_be_closed(stream, words, code):
    done = subprocess.run(
        [sys.executable, "-m", "vidmoco", *words],
        capture_output=True,
        preexec_fn=lambda: os.close(stream),
        check=False,
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
