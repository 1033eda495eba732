"""The notebooks of examples/ run from their first to their last cell."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from cluster_files import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
MOST_BYTES = 300_000
# The outputs that are kept are of a training that shows something, which takes three minutes.
LONG, SHORT = "VIDEOS, STEPS = 1200, 500", "VIDEOS, STEPS = 60, 10"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    programs = str(Path(sys.executable).parent)  # for `!vidmoco …`
    env = os.environ | {
        "PATH": programs + os.pathsep + os.environ["PATH"],
        "VIDMOCO_CACHE": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    text = path.read_text(encoding="utf-8")
    assert (LONG in text) == (path.stem == "train_and_judge")
    shorter = tmp_path / "shorter" / path.name
    shorter.parent.mkdir()
    shorter.write_text(text.replace(LONG, SHORT), encoding="utf-8")
    words = ["nbconvert", "--to", "notebook", "--execute", "--output-dir", tmp_path, shorter]
    ran = subprocess.run(
        [sys.executable, "-m", *words], check=False, capture_output=True, text=True, env=env
    )
    assert ran.returncode == 0, ran.stderr
    notebook = nbformat.read(tmp_path / path.name, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) >= 4 and all(cell.execution_count for cell in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_its_outputs_and_they_are_small(path):
    notebook = nbformat.read(path, as_version=4)
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    assert outputs and path.stat().st_size < MOST_BYTES
    assert not [one for one in outputs if one.output_type == "error" or one.get("name") == "stderr"]


def test_there_are_three():
    assert len(NOTEBOOKS) == 3
