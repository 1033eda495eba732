"""The notebooks of examples/ run from their first to their last cell."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from cluster_files import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
MOST_BYTES = 300_000


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's client
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    programs = str(Path(sys.executable).parent)  # `!vidmoco …`
    monkeypatch.setenv("PATH", programs + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("VIDMOCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(ran) >= 4 and all(cell.execution_count for cell in ran)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_its_outputs_and_they_are_small(path):
    notebook = nbformat.read(path, as_version=4)
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    assert outputs and path.stat().st_size < MOST_BYTES
    assert not [one for one in outputs if one.output_type == "error" or one.get("name") == "stderr"]


def test_there_are_three():
    assert len(NOTEBOOKS) == 3
