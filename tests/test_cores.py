from pathlib import Path

import pytest

from vidmoco import cores


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


def test_a_quota_counts_as_cores(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(64)))
    for quota, found in ((None, 64), (4.0, 4), (1.5, 2), (0.5, 1), (100.0, 64)):
        monkeypatch.setattr(cores, "cpu_limit", lambda quota=quota: quota)
        assert cores.num_cores() == found
