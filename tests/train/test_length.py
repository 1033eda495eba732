import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from painted_videos import write_video
from tiny_run import TINY, numbers

from vidmoco.checkpoint import list_checkpoints, load_checkpoint
from vidmoco.cli.main import main
from vidmoco.config.methods import MoCoV3Config
from vidmoco.config.monitor import MonitorConfig
from vidmoco.config.optim import OptimConfig
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import dump_recipe, load_recipe
from vidmoco.data import source as pairs
from vidmoco.errors import ConfigError
from vidmoco.train.length import learning_rate_of, plan_length


def run_of(folder, *, done, **options):
    """A run folder of as many steps as ``done``."""
    (folder / "checkpoints").mkdir(parents=True)
    config = PretrainConfig(videos=(folder,), method=MoCoV3Config(), **options)
    (folder / "config.yaml").write_text(dump_recipe(config))
    at(folder, done)
    return config


def at(folder, step):
    """Make ``step`` the newest checkpoint."""
    for path in list_checkpoints(folder / "checkpoints"):
        path.unlink()
    if step:
        (folder / "checkpoints" / f"step_{step:08d}.pt").touch()


def extended(folder, steps, *, save=True):
    config = replace(load_recipe(str(folder / "config.yaml")), steps=steps)
    length = plan_length(config, 2, resume=folder)
    text = length.save(folder, config) if save else ""
    return length, text


def test_a_run_that_begins_and_one_that_goes_on(tmp_path):
    config = run_of(tmp_path, done=3, epochs=2.5)
    assert plan_length(config, 2, resume=None).total == 5
    length, text = extended(tmp_path, None)
    assert (length.total, length.extensions, text) == (5, (), "")
    assert not (tmp_path / "extensions.jsonl").exists()


def test_an_extension_counts_from_the_step_on_that_is_done(tmp_path):
    run_of(tmp_path, done=4, steps=4)
    length, text = extended(tmp_path, 8)
    assert text.startswith("The run now takes 8 steps in place of 4: the learning rate goes on")
    assert [length.at(step) for step in (0, 3, 4, 7)] == [4, 4, 8, 8]
    assert load_recipe(str(tmp_path / "config.yaml")).steps == 8
    again, text = extended(tmp_path, 8)
    assert (again, text) == (replace(length, is_new=False), "")
    at(tmp_path, 6)
    twice, _ = extended(tmp_path, 12)
    assert [twice.at(step) for step in (3, 4, 5, 6, 11)] == [4, 8, 8, 12, 12]
    at(tmp_path, 3)  # the later checkpoints are damaged and deleted
    other, _ = extended(tmp_path, 10)
    assert [other.at(step) for step in (2, 3, 9)] == [4, 10, 10]
    assert extended(tmp_path, 10)[0].extensions == other.extensions


def test_what_a_resume_changes_is_kept(tmp_path):
    run_of(tmp_path, done=4, steps=4)
    config = load_recipe(str(tmp_path / "config.yaml"))
    given = replace(
        config,
        monitor=MonitorConfig(images=Path("labelled")),
        data=replace(config.data, workers=3),
        engine=replace(config.engine, checkpoint_minutes=1.0),
    )
    assert plan_length(given, 2, resume=tmp_path).save(tmp_path, given) == ""
    assert load_recipe(str(tmp_path / "config.yaml")) == given


def test_a_kill_between_the_two_files_leaves_the_run_as_it_was(tmp_path):
    run_of(tmp_path, done=4, steps=4)
    before = (tmp_path / "config.yaml").read_text()
    extended(tmp_path, 8)
    (tmp_path / "config.yaml").write_text(before)
    assert extended(tmp_path, 4)[0].extensions == ()
    assert extended(tmp_path, 6)[0].at(4) == 6
    assert [one.steps for one in extended(tmp_path, 6)[0].extensions] == [6]


def test_fewer_steps_than_are_done(tmp_path):
    config = run_of(tmp_path, done=4, steps=8)
    assert extended(tmp_path, 4, save=False)[0].total == 4
    with pytest.raises(ConfigError, match=r"--steps gives 3 steps, but .* has already done 4"):
        extended(tmp_path, 3)
    with pytest.raises(ConfigError, match="--epochs gives 2 steps"):
        plan_length(replace(config, steps=None, epochs=1), 2, resume=tmp_path)


def test_the_rates_of_each_schedule(tmp_path):
    optim = OptimConfig(scale_lr="none", lr=1.0, update_every="step", milestones=(0.75,))
    run_of(tmp_path, done=4, steps=4, optim=optim)
    length, _ = extended(tmp_path, 8)
    config = PretrainConfig(method=MoCoV3Config(), optim=optim)
    cosine = [learning_rate_of(config, n, length.of_rate(n, config), 2) for n in (2, 4, 6)]
    assert cosine == pytest.approx([0.5, 0.5, 0.5 - 0.5**1.5])
    config = replace(config, optim=replace(optim, schedule="step"))
    steps = [learning_rate_of(config, n, length.of_rate(n, config), 2) for n in (2, 3, 4, 7)]
    assert steps == pytest.approx([1, 0.1, 0.1, 0.1])


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number in range(8):
        write_video(folder / f"{number}.mp4", num_frames=6, size=(64, 48), first_index=number * 50)
    return folder


def test_extended_with_a_kill_between_is_extended_without(videos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [*TINY, "--method.momentum-schedule", "cosine", "--method.momentum", "0.5"]
    assert main(["pretrain", str(videos), *words, "--run", "whole", "--steps", "4"]) == 0
    shutil.copytree("whole", "killed")
    capsys.readouterr()
    assert main(["pretrain", "--run", "whole", "--resume", "--steps", "8"]) == 0
    assert "now takes 8 steps in place of 4" in " ".join(capsys.readouterr().err.split())

    load_pairs = pairs.load_pairs

    def dying(*args, **options):
        for number, batch in enumerate(load_pairs(*args, **options)):
            if number == 2:
                raise ZeroDivisionError  # as a kill: nothing is saved
            yield batch

    monkeypatch.setattr(pairs, "load_pairs", dying)
    with pytest.raises(ZeroDivisionError):
        main(["pretrain", "--run", "killed", "--resume", "--epochs", "1"])
    monkeypatch.setattr(pairs, "load_pairs", load_pairs)
    saved = load_recipe("killed/config.yaml")
    assert (saved.steps, saved.epochs) == (None, 1)
    assert main(["pretrain", "--run", "killed", "--resume"]) == 0  # eight steps an epoch
    whole, killed = (numbers(tmp_path / run) for run in ("whole", "killed"))
    assert [line["step"] for line in whole] == list(range(1, 9))
    assert whole == killed
    ours, theirs = (
        load_checkpoint(list_checkpoints(tmp_path / run / "checkpoints")[-1])["method"]
        for run in ("whole", "killed")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert main(["pretrain", "--run", "whole", "--resume", "--steps", "7"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("vidmoco: --steps gives 7 steps")
