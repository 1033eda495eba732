from pathlib import Path

import pytest

from vidmoco import cores
from vidmoco.errors import ConfigError


@pytest.mark.parametrize(
    ("file", "visible", "expected"),
    [
        ("/dev/nvidiactl", None, True),
        ("/dev/dxg", None, True),
        ("/dev/nvidiactl", "1", True),
        ("/dev/nvidiactl", "", False),
        ("/dev/nvidiactl", "-1", False),
        ("/dev/null", None, False),
    ],
)
def test_a_gpu_is_seen_without_torch(monkeypatch, file, visible, expected):
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == file)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cores.sees_gpu() is expected


@pytest.mark.parametrize(
    ("name", "file", "visible", "message"),
    [
        ("gpu", "", None, "Unknown device 'gpu'; expected auto, cpu, cuda or cuda:N. Did you mean"),
        (
            "cuda:9x",
            "/dev/nvidiactl",
            None,
            "Unknown device 'cuda:9x'; expected auto, cpu, cuda or",
        ),
        ("cuda", "", None, "The device 'cuda' is not here: this machine shows no GPU. Give cpu or"),
        ("cuda:1", "/dev/nvidiactl", "", "is not here: CUDA_VISIBLE_DEVICES hides all GPUs"),
        ("cuda", "/dev/kfd", "-1", "is not here: CUDA_VISIBLE_DEVICES hides all GPUs"),
        ("cuda", "/dev/kfd", None, ""),  # torch has the last word
        ("cuda:1", "/dev/nvidiactl", None, ""),
        ("auto", "", None, ""),
        ("cpu", "", "", ""),
    ],
)
def test_a_device_that_cannot_be_here(monkeypatch, name, file, visible, message):
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == file)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    told = ""
    try:
        cores.require_device(name)
    except ConfigError as error:
        told = str(error)
    assert told.startswith(message) or message in told
    assert bool(told) == bool(message)


def test_a_quota_counts_as_cores(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(64)))
    for quota, found in ((None, 64), (4.0, 4), (1.5, 2), (0.5, 1), (100.0, 64)):
        monkeypatch.setattr(cores, "cpu_limit", lambda quota=quota: quota)
        assert cores.num_cores() == found
