import os
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from vidmoco import device as device_module
from vidmoco.device import autocast, training_precision, use_channels_last, use_threads

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


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"),
    [(True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")],
)
def test_a_cpu_trains_in_bf16_only_with_units_for_it(monkeypatch, amx, avx512, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert training_precision(torch.device("cpu"), "auto") == expected


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp32")])
def test_cuda_trains_in_bf16_unless_it_emulates_it(monkeypatch, native, expected):
    asked = []

    def supported(*, including_emulation):
        asked.append(including_emulation)
        return native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert training_precision(torch.device("cuda"), "auto") == expected
    assert asked == [False]


def test_a_precision_that_is_asked_for_is_taken():
    for device in ("cpu", "mps"):
        for precision in ("bf16", "fp32"):
            assert training_precision(torch.device(device), precision) == precision
    assert training_precision(torch.device("mps"), "auto") == "fp32"


@pytest.mark.parametrize("units", [True, False])
def test_models_run_in_the_precision_of_the_device(monkeypatch, units):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: units)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    layer, row = torch.nn.Linear(2, 2), torch.ones(1, 2)
    with autocast(torch.device("cpu"), "auto"):
        assert layer(row).dtype == (torch.bfloat16 if units else torch.float32)
    with autocast(torch.device("cpu"), "bf16"):
        assert layer(row).dtype == torch.bfloat16


def test_weights_of_five_axes_stay_as_they_are() -> None:
    """Such as those of timm's lambda_resnet26t."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(1, 2, 3), nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        network.register_buffer("made_by_a_forward", torch.zeros(1, 2, 3, 4), persistent=False)
    use_channels_last(network)
    assert network.made_by_a_forward.is_contiguous(memory_format=torch.channels_last)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[1].weight.is_contiguous()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("variables", "asked", "expected"),
    [
        ({}, None, 4),
        ({"OMP_NUM_THREADS": "3"}, None, None),  # as torch has it
        ({"OMP_NUM_THREADS": ""}, None, 4),
        ({"OMP_NUM_THREADS": "3"}, 2, 2),
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "1"}, None, 4),  # of torchrun
    ],
)
def test_threads_are_those_that_the_user_says(monkeypatch, variables, asked, expected):
    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    given = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    monkeypatch.setattr(device_module, "num_cores", lambda: 8)
    use_threads(torch.device("cpu"), asked, beside_decoders=True)
    assert given == ([] if expected is None else [expected])
