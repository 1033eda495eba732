import json
import os
import signal
import subprocess
import sys

from child_processes import is_running, until

CODE = """
import gc, json, sys, threading
import vidmoco.preload
import torch
print(json.dumps({
    "frozen": gc.get_freeze_count(), "collects": gc.isenabled(),
    "threads": threading.active_count(),
    "decord": "decord" in sys.modules,
    "torchvision": "torchvision" in sys.modules,
    "cuda": torch.cuda.is_initialized(),
}))
"""

WAITS = """
import sys, time
from pathlib import Path
class Forever:
    def find_spec(self, name, *_):
        if name == "vidmoco.frames.writer":
            Path("imports").touch()
            while True:
                time.sleep(0.01)
sys.meta_path.insert(0, Forever())
import vidmoco.preload
"""
PARENT = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]]).pid,"
PARENT += " flush=True); sys.stdin.read()"


def test_its_process_ends_with_the_parent_while_it_imports(tmp_path):
    """Else a killed command leaves it behind for as long as the imports take."""
    words = [sys.executable, "-c", PARENT, WAITS]
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(words, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True, env=os.environ | path)  # fmt: skip
    with parent:
        child = int(parent.stdout.readline())
        until((tmp_path / "imports").exists)
        parent.send_signal(signal.SIGKILL)
    until(lambda: not is_running(child))


def test_what_is_imported_before_a_fork():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found.pop("frozen") > 50_000  # torch has imported
    # Threads and devices do not survive a fork.
    # To import torchvision takes as long as torch, and nobody here has a use for it.
    assert found == {
        "collects": True,
        "threads": 1,
        "decord": False,
        "torchvision": False,
        "cuda": False,
    }
