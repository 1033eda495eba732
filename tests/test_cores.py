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
