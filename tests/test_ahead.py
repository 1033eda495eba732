import signal
import subprocess
import sys
import threading

import pytest
from child_processes import PATIENCE, until

from vidmoco import ahead
from vidmoco.ahead import libraries_meanwhile

CODE = """
import sys, threading
from vidmoco.ahead import libraries_meanwhile, load_libraries
with libraries_meanwhile():
    assert [t.name for t in threading.enumerate()].count("imports") <= 1
assert "torch" in sys.modules and "timm" in sys.modules
load_libraries()  # says nothing more
"""


@pytest.mark.parametrize(("rank", "lines"), [("0", ["Loading PyTorch …"]), ("1", [])])
def test_the_libraries_are_there_after_the_block(rank, lines, monkeypatch):
    monkeypatch.setenv("RANK", rank)
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == lines


COLLECTIONS = """
import gc, sys, weakref
from vidmoco.ahead import load_libraries
class Cycle: pass
cycle = Cycle()
cycle.own, is_there = cycle, weakref.ref(cycle)
del cycle
if "off" in sys.argv:
    gc.disable()
collections = []
gc.callbacks.append(lambda *_: collections.append("torch" in sys.modules))
load_libraries()
assert collections.count(True) < 10, len(collections)  # some, once they are allowed again
assert gc.isenabled() == ("off" not in sys.argv)
assert is_there() is None  # garbage is not kept
frozen = gc.get_freeze_count()
assert frozen > 100_000
load_libraries()
assert gc.get_freeze_count() == frozen  # nothing of the program's own is kept
print("done")
"""


@pytest.mark.parametrize("mode", ["on", "off"])
def test_imports_are_without_garbage_collections(mode):
    words = [sys.executable, "-c", COLLECTIONS, mode]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "Loading PyTorch …\n")  # and no leaks


@pytest.fixture
def interrupts():
    """Ctrl-C raises, which it does not where a shell has started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_signal_waits_for_the_imports_and_ends_the_block(monkeypatch):
    imported = []

    def importing(stopped, errors):
        assert stopped.wait(PATIENCE)  # the signal is known
        imported.append(not errors)

    monkeypatch.setattr(ahead, "_import_uncollected", importing)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), libraries_meanwhile():
        signal.raise_signal(signal.SIGINT)
        until(lambda: False)
    assert imported == [True]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("interrupts")
def test_a_second_signal_does_not_wait(monkeypatch):
    ends = threading.Event()
    monkeypatch.setattr(ahead, "_import_uncollected", lambda *_: ends.wait(PATIENCE))
    with pytest.raises(KeyboardInterrupt), libraries_meanwhile():
        signal.raise_signal(signal.SIGINT)
        assert not ends.is_set()
        signal.raise_signal(signal.SIGINT)
    ends.set()


def test_an_error_in_the_block_is_raised():
    with pytest.raises(ValueError, match="mine"), libraries_meanwhile():
        raise ValueError("mine")


FAILING = """
import sys, threading
from vidmoco.ahead import libraries_meanwhile
try:
    with libraries_meanwhile():
        raise ValueError("mine")
except ValueError:
    pass
for thread in threading.enumerate():
    if thread.name == "imports":
        thread.join()
assert "timm" not in sys.modules
"""


BROKEN = """
import sys
from vidmoco.ahead import libraries_meanwhile
try:
    with libraries_meanwhile():
        pass
except ImportError as error:
    print(error)
"""


def test_the_first_error_of_an_import_is_told(tmp_path, monkeypatch):
    """PyTorch says at its second import only that it is not the first."""
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch.so: failed to map segment')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    done = subprocess.run(
        [sys.executable, "-c", BROKEN], capture_output=True, text=True, check=False
    )
    assert done.stdout == "libtorch.so: failed to map segment\n", done.stderr


def test_after_an_error_no_further_library_is_imported():
    words = [sys.executable, "-c", FAILING]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
