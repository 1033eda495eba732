"""The list of broken lines stays that of the code. To run them takes a quarter of an hour."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTANTS = runpy.run_path(str(ROOT / "tools" / "mutants.py"))["read_mutants"]()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_line_that_is_broken_is_there(mutant):
    assert mutant.line in (ROOT / mutant.file).read_text(), "Write the line as it is now."
    assert mutant.broken not in ("", mutant.line)
    assert (ROOT / mutant.tests.partition("::")[0]).is_file()


def test_the_table_names_them_all():
    rows = re.findall(r"^\| (.+?) \| vidmoco/", (ROOT / "docs" / "mutants.md").read_text(), re.M)
    differing = {mutant.name for mutant in MUTANTS} ^ set(rows)
    assert not differing, f"Give the rows that `python tools/mutants.py` has for {differing}."
