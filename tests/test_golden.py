"""The first 20 losses of every recipe, as they were when they were last looked at."""

import importlib.util
import json
from pathlib import Path

import pytest

from vidmoco.recipe import shipped_recipes

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("golden", ROOT / "tools" / "golden.py")
golden = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(golden)
LOSSES = json.loads(golden.FILE.read_text())


@pytest.mark.parametrize("name", shipped_recipes())
def test_losses_are_those_of_before(name):
    """To what another machine's rounding may do to float32 losses in 20 steps."""
    assert golden.losses_of(name) == pytest.approx(LOSSES[name], rel=2e-4)


def test_each_recipe_learns_something_else():
    made_small = {repr(golden.small(name)) for name in LOSSES}  # two differ in the backbone alone
    assert len({tuple(losses) for losses in LOSSES.values()}) == len(made_small) >= len(LOSSES) - 1
    for losses in LOSSES.values():
        assert len(set(losses)) == golden.STEPS
