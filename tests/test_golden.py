"""Losses and views of every recipe, as they were when they were last looked at."""

import importlib.util
import json
from pathlib import Path

import pytest

from vidmoco.config.recipe import shipped_recipes

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("golden", ROOT / "tools" / "golden.py")
golden = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(golden)
LOSSES, VIEWS = (
    json.loads((golden.FOLDER / name).read_text()) for name in ("losses.json", "views.json")
)


def require_written(name):
    assert name in LOSSES and name in VIEWS, (
        f"tests/golden/ has nothing of the recipe {name}. Run: python tools/golden.py"
    )


@pytest.mark.parametrize("name", shipped_recipes())
def test_losses_are_those_of_before(name):
    """To what another machine's rounding may do to float64 losses in 20 steps."""
    require_written(name)
    assert golden.losses_of(name) == pytest.approx(LOSSES[name], rel=1e-5)


@pytest.mark.parametrize("name", shipped_recipes())
def test_views_are_those_of_before(name):
    require_written(name)
    views = golden.views_of(name)
    assert views == [pytest.approx(numbers, abs=2e-5) for numbers in VIEWS[name]]


def test_each_recipe_learns_something_else():
    made_small = {repr(golden.small(name)) for name in LOSSES}  # two differ in the backbone alone
    assert len({tuple(losses) for losses in LOSSES.values()}) == len(made_small) >= len(LOSSES) - 1
    for losses in LOSSES.values():
        assert len(set(losses)) == golden.STEPS
