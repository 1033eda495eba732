"""No test meets what another has kept."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets the features of another."""
    monkeypatch.setenv("VIDMOCO_CACHE", str(tmp_path / "cache"))
