import json
import subprocess
import sys

CODE = """
import gc, json, sys
import vidmoco.preload
import torch
print(json.dumps({
    "frozen": gc.get_freeze_count(), "decord": "decord" in sys.modules,
    "torchvision": "torchvision" in sys.modules,
    "cuda": torch.cuda.is_initialized(),
}))
"""


def test_what_is_imported_before_a_fork():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found.pop("frozen") > 50_000  # torch has imported
    # Threads and devices do not survive a fork.
    # To import torchvision takes as long as torch, and nobody here has a use for it.
    assert found == {"decord": False, "torchvision": False, "cuda": False}
