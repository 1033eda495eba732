import json
import threading

import pytest
from ablations import write_ablation
from child_processes import until

from vidmoco.ablation import trainings
from vidmoco.ablation.plan import load_plan
from vidmoco.ablation.trainings import (
    Training,
    measured_steps,
    require_same_settings,
    train_all,
    trainings_of,
)
from vidmoco.api.runs import Run
from vidmoco.config.recipe import dump_recipe
from vidmoco.errors import ConfigError

STEPS = {"pairs": 2, "control": 2}


def save_config(training):
    training.run.path.mkdir(parents=True)
    (training.run.path / "config.yaml").write_text(dump_recipe(training.config))


def test_seed_by_seed(tmp_path):
    plan = load_plan(write_ablation(tmp_path))
    found = trainings_of(plan, tmp_path, STEPS)
    names = ["pairs-seed0", "control-seed0", "pairs-seed1", "control-seed1"]
    assert [one.name for one in found] == names
    assert [one.config.seed for one in found] == [0, 0, 1, 1]
    assert found[1].config.data.single_frame and found[1].config.steps == 2


def test_a_run_of_other_settings_is_not_taken(tmp_path):
    plan = load_plan(write_ablation(tmp_path))
    for training in trainings_of(plan, tmp_path, STEPS):
        save_config(training)
    require_same_settings(plan, tmp_path)
    trainings_of(plan, tmp_path, STEPS)
    with pytest.raises(ConfigError, match="takes 2 steps, and the row 'pairs' 3"):
        trainings_of(plan, tmp_path, STEPS | {"pairs": 3})
    rows = {"pairs": {"data": {"max_gap": 3.0}}}
    other = load_plan(write_ablation(tmp_path, rows=rows, compare=[]))
    with pytest.raises(ConfigError, match=r"other settings: data\.max_gap: .*delete that run"):
        require_same_settings(other, tmp_path)
    other = load_plan(write_ablation(tmp_path, videos=tmp_path / "other"))
    with pytest.raises(ConfigError, match=r"other settings: videos: videos and .*other\."):
        require_same_settings(other, tmp_path)


def test_a_training_that_fails_does_not_stop_the_others(tmp_path):
    plan = load_plan(write_ablation(tmp_path, videos=tmp_path / "none"))
    failed, also = trainings_of(plan, tmp_path, STEPS)[:2]
    finished = Training("done", 0, failed.config, FinishedRun(tmp_path / "runs" / "done-seed0"))
    found = dict(train_all([failed, finished, also], tmp_path, jobs=2, flags=[]))
    assert found[finished] == ""
    for one in (failed, also):
        assert f"{one.name} ended with exit code 2" in found[one] and "none" in found[one]
        assert (tmp_path / "logs" / f"runs-{one.name}.log").is_file()


def test_an_interrupt_while_a_finished_run_is_judged_begins_no_other(tmp_path, monkeypatch):
    config = trainings_of(load_plan(write_ablation(tmp_path)), tmp_path, STEPS)[0].config
    finished = Training("done", 0, config, FinishedRun(tmp_path / "done"))
    others = [Training(name, 0, config, Run(tmp_path / name)) for name in "abc"]
    begun, end = [], threading.Event()

    def train(one, folder, flags):
        begun.append(one.name)
        end.wait()

    monkeypatch.setattr(trainings, "_train", train)
    found = train_all([finished, *others], tmp_path, jobs=1, flags=[])
    assert next(found) == (finished, "")
    until(lambda: begun)
    threading.Timer(0.2, end.set).start()
    found.close()  # as an interrupt of its caller does
    assert begun == ["a"]


def test_a_row_that_has_changed_is_measured_anew(tmp_path, monkeypatch, quiet):
    taken = []

    def train(training, folder, flags):
        taken.append(training.config.data.max_gap)
        save_config(training)
        line = {"step": 40, "pairs_per_second": 100.0 * len(taken)}
        (training.run.path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        training.run.path.joinpath("finished").touch()

    monkeypatch.setattr(trainings, "_train", train)
    monkeypatch.setattr(Run, "is_finished", property(lambda run: (run.path / "finished").exists()))
    steps = []
    for gap in (1.0, 1.0, 3.0):
        rows = {"pairs": {"data": {"max_gap": gap}}}
        plan = load_plan(write_ablation(tmp_path, rows=rows, compare=[], steps=None, minutes=1.0))
        steps.append(measured_steps(plan.rows[0], tmp_path, flags=[], console=quiet))
    assert taken == [1.0, 3.0]
    assert steps[0] == steps[1] and steps[2] == 2 * steps[0]


class FinishedRun(Run):
    is_finished = True


class StartedRun(Run):
    @property
    def is_finished(self):
        return self.path.exists()


def test_one_that_ends_while_others_are_judged_comes_once(tmp_path, monkeypatch):
    config = trainings_of(load_plan(write_ablation(tmp_path)), tmp_path, STEPS)[0].config
    first, second = (Training(n, 0, config, StartedRun(tmp_path / n)) for n in ("a", "b"))
    first.run.path.mkdir()
    monkeypatch.setattr(trainings, "_train", lambda one, folder, flags: one.run.path.mkdir())
    found = train_all([first, second], tmp_path, jobs=1, flags=[])
    assert next(found) == (first, "")
    until(second.run.path.exists)
    assert list(found) == [(second, "")]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("a\nsteps 0 to 3\nvidmoco: The loss is nan.\n", "The loss is nan."),
        ("vidmoco: first\nvidmoco: The last.\nwarning: a worker has ended\n", "The last."),
        ("a\nb\nTraceback\n  line\nKilled\n", "Traceback   line Killed"),
        ("", ""),
    ],
)
def test_why_a_training_failed(said, reason):
    assert trainings._reason(said) == reason


def test_the_error_of_an_earlier_attempt_is_not_told(tmp_path, monkeypatch):
    plan = load_plan(write_ablation(tmp_path, videos=tmp_path / "none"))
    one = trainings_of(plan, tmp_path, STEPS)[0]
    log = tmp_path / "logs" / f"runs-{one.name}.log"
    log.parent.mkdir()
    log.write_text("vidmoco: of before\n")
    program = [trainings.sys.executable, "-c", "import sys; print('now'); sys.exit(9)"]
    run = trainings.subprocess.run
    monkeypatch.setattr(trainings.subprocess, "run", lambda _, **how: run(program, **how))
    (found,) = dict(train_all([one], tmp_path, jobs=1, flags=[])).values()
    assert found == f"{one.name} ended with exit code 9: now (all in {log})"
