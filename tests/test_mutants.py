from pathlib import Path

import pytest
from mutants import read_mutants

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("mutant", read_mutants(), ids=lambda mutant: mutant.name)
def test_the_line_to_break_is_there(mutant):
    assert mutant.line in (ROOT / mutant.file).read_text(encoding="utf-8")
    assert mutant.broken != mutant.line
    assert (ROOT / mutant.tests).exists()
