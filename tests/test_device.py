import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from vidmoco.device import keep_freed_memory

def step():
    blocks = [torch.ones(2**22) for _ in range(8)]  # 16 MiB each

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep":
    keep_freed_memory(torch.device("cpu"))
step()
step()
before = faults()
for _ in range(4):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_used_again() -> None:
    # A threshold of its own keeps glibc from moving it: else it may keep some blocks by itself.
    threshold = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**17)}
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", FAULTS, how],
                env=threshold,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for how in ("keep", "give back")
    }
    assert faults["keep"] < faults["give back"] / 10
