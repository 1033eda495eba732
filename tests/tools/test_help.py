"""``--help`` of every tool says what it is for, and does nothing."""

import pytest
from child_processes import ROOT, Process

TOOLS = sorted(
    path.name for path in (ROOT / "tools").glob("*.py") if "__main__" in path.read_text()
)


@pytest.mark.parametrize("tool", TOOLS)
def test_help(tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "tests" / "golden").iterdir()}
    process = Process([str(ROOT / "tools" / tool), "--help"])
    assert process.wait() == 0, process.err
    assert "usage:" in process.out.lower()
    assert not list(tmp_path.iterdir())
    assert {path: path.stat().st_mtime_ns for path in before} == before
