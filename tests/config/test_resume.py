from dataclasses import replace
from pathlib import Path

import pytest

from vidmoco.config.recipe import load_recipe, with_settings
from vidmoco.config.resume import changed_settings, resumed_config
from vidmoco.errors import ConfigError

SAVED = replace(load_recipe("tiny_cpu"), videos=(Path("/v"),), steps=10)


def resumed(run, saved=SAVED, **settings):
    return resumed_config(saved, with_settings(saved, settings), run=run)


def test_what_computes_nothing_else_may_change(tmp_path):
    found = resumed(tmp_path, steps=20, workers=3, device="cpu", engine={"log_every": 7})
    assert (found.steps, found.data.workers, found.engine.log_every) == (20, 3, 7)
    begun = resumed(tmp_path, monitor={"retrieval": True})
    assert begun.monitor.retrieval
    with pytest.raises(ConfigError, match=r"differ in monitor\.videos"):
        resumed(tmp_path, begun, monitor={"videos": 99})


def test_epochs_replace_the_steps_of_the_run(tmp_path):
    assert resumed(tmp_path, epochs=3).steps is None
    assert resumed(tmp_path, epochs=3, steps=12).steps == 12


def test_what_decides_a_step_may_not(tmp_path):
    with pytest.raises(
        ConfigError, match=r"differ in data\.max_gap: 1\.5 and 9\.0; seed: 0 and 4\."
    ):
        resumed(tmp_path, seed=4, data={"max_gap": 9.0})
    with pytest.raises(ConfigError, match=r"differ in method\.name: 'moco' and 'simclr'\. Leave"):
        resumed(tmp_path, method="simclr")


@pytest.mark.parametrize("known_by", ["frames.json", "catalog.parquet"])
def test_what_is_known_by_its_content_may_have_moved(tmp_path, known_by):
    with pytest.raises(ConfigError, match="differ in videos"):
        resumed(tmp_path, videos=["/w"])
    (tmp_path / known_by).touch()
    assert resumed(tmp_path, videos=["/w"]).videos == (Path("/w"),)


def test_an_edited_file_is_named(tmp_path):
    edited = with_settings(SAVED, {"seed": 3, "workers": 2, "steps": 20})
    with pytest.raises(ConfigError, match=r"seed: 0 and 3\. Restore them in run/c\.yaml, "):
        resumed_config(SAVED, edited, run=tmp_path, edited="run/c.yaml")
    assert changed_settings(SAVED, edited, run=tmp_path) == ["data.workers: None and 2"]
