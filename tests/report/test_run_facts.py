import json
from pathlib import Path

import pytest
from report_material import make_run

from vidmoco.config.pretrain import PretrainConfig
from vidmoco.errors import ConfigError
from vidmoco.lock import held
from vidmoco.report.run_facts import read_lines, read_run


def test_what_a_folder_says(tmp_path):
    facts = read_run(make_run(tmp_path / "run"))
    assert facts.state == "finished" and facts.total_steps == 30
    assert [line["step"] for line in facts.metrics] == [10, 20, 30]
    assert facts.seconds == 150 and facts.monitor == []
    assert facts.config is not None and facts.config.videos == (Path("/gone/videos"),)
    assert facts.provenance["num_videos"] == 1234


@pytest.mark.parametrize(
    ("steps", "told", "state"),
    [
        (30, None, "open"),  # the backbone is being written
        (20, None, "open"),
        (20, 20, "stopped"),
        (20, 25, "stopped"),  # between two lines of the log
        (20, 10, "open"),  # stopped after 10, and goes on
    ],
)
def test_how_a_run_ended(tmp_path, steps, told, state):
    assert read_run(make_run(tmp_path / "run", steps=steps, told=told)).state == state


def test_steps_that_were_asked_for(tmp_path):
    config = PretrainConfig(videos=(Path("/gone"),), steps=77)
    assert read_run(make_run(tmp_path / "a", config)).total_steps == 77
    run = make_run(tmp_path / "b")
    lines = [json.dumps({"step": 10}) + "\n"]
    (run / "metrics.jsonl").write_text("".join(lines))
    assert read_run(run).total_steps is None and read_run(run).state == "stopped"


def test_the_recipe_it_began_with(tmp_path):
    run = make_run(tmp_path / "run")
    assert read_run(run).base_recipe()[0] == "the recipe moco_v2"
    (run / "backbone" / "config.json").unlink()
    assert read_run(run).base_recipe()[0] == "the recipe moco_v2"  # also before it ends
    (run / "environment.json").write_text('{"recipe": "mine"}')
    assert read_run(run).base_recipe() == ("the defaults", PretrainConfig())
    (run / "environment.json").write_text('{"recipe": "simclr"}')
    assert read_run(run).base_recipe()[0] == "the recipe simclr"
    (run / "environment.json").write_text("[]")
    assert read_run(run).base_recipe()[0] == "the recipe vidmoco"


def test_settings_of_another_version_are_shown_as_they_are(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "config.yaml").write_text("new_setting: 1\n")
    facts = read_run(run)
    assert facts.config is None and "new_setting" in facts.config_problem
    assert facts.text == "new_setting: 1\n" and facts.total_steps is None


def test_what_is_no_run(tmp_path):
    with pytest.raises(ConfigError, match=r"not a run folder: it has no config.yaml. It is empty"):
        read_run(tmp_path)
    run = make_run(tmp_path / "run", steps=0)
    advice = "has no metrics yet.* Nothing trains there: vidmoco pretrain --run .*run --resume$"
    with pytest.raises(ConfigError, match=advice):
        read_run(run)
    with held(run, busy="", advice=""), pytest.raises(ConfigError, match="Try again then"):
        read_run(run)
    (run / "metrics.jsonl").unlink()
    with pytest.raises(ConfigError, match="has no metrics yet"):
        read_run(run)


@pytest.mark.parametrize(
    "bad", [b"{", b"[]", b'{"step": "x"}', b'{"step": true}', b"\xff\xfe", b"", b'{"loss": 1}']
)
def test_damaged_lines_are_named(tmp_path, bad):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + bad + b'\n{"step": 3}\n')
    with pytest.raises(ConfigError, match=r"metrics.jsonl is damaged in line 2"):
        read_lines(path)


def test_of_a_damaged_monitor_the_rest_is_kept(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "monitor.jsonl").write_bytes(b'{"step": 1}\n\xff\n{"step": 3}\n')
    facts = read_run(run)
    assert [line["step"] for line in facts.monitor] == [1, 3]
    assert facts.monitor_problem == (
        "monitor.jsonl is damaged in line 2; its other lines are shown."
    )
    (run / "monitor.jsonl").write_bytes(b'[]\n{"step": 2}\n{}\n{"st')
    facts = read_run(run)
    assert [line["step"] for line in facts.monitor] == [2]
    assert "damaged in 2 lines, the first of them line 1;" in facts.monitor_problem
    (run / "monitor.jsonl").write_bytes(b'{"step": 2}\n{"st')  # being written
    assert read_run(run).monitor_problem == ""


def test_settings_that_are_lost_are_not_taken_for_the_defaults(tmp_path):
    run = make_run(tmp_path / "run")
    for nothing in ("", " \n"):
        (run / "config.yaml").write_text(nothing)
        with pytest.raises(ConfigError, match=r"config.yaml is empty, so .*environment.json"):
            read_run(run)


def test_a_half_written_last_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": NaN}\n{"step": 2')
    assert [line["step"] for line in read_lines(path)] == [1]
