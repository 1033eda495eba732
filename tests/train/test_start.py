"""``--resume auto``: a command that can be given again whatever has become of it."""

import os
import shutil
import signal

import pytest
from tiny_run import SMALL, TINY, numbers, signal_in

import vidmoco
from vidmoco import run_folder
from vidmoco.checkpoint import list_checkpoints, load_checkpoint
from vidmoco.cli.main import main
from vidmoco.errors import ConfigError
from vidmoco.json_text import read_json
from vidmoco.train import pretrain

AUTO = [*TINY, "--backbone.name", "test_resnet", "--steps", "6", "--resume", "auto"]


@pytest.fixture(scope="module")
def finished(scanned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("VIDMOCO_CACHE", str(scanned / "cache"))
        words = ["--engine.checkpoint-steps", "2", "--engine.keep-checkpoints", "3"]
        assert main(["pretrain", str(scanned / "videos"), *AUTO, *words, "--run", "run"]) == 0
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def again(videos, run, *words):
    given = [] if videos is None else [str(videos)]
    return main(["pretrain", *given, *AUTO, "--run", str(run), *words])


def test_checkpoints_come_every_so_many_steps(finished):
    steps = [load_checkpoint(path)["step"] for path in list_checkpoints(finished / "checkpoints")]
    assert steps == [2, 4, 6]


def test_the_command_goes_on_after_a_signal(finished, videos, tmp_path, capsys):
    with signal_in(3, signal.SIGUSR1):
        assert again(videos, tmp_path / "new") == 128 + signal.SIGUSR1 == 138
    assert "Stopped by SIGUSR1 after step 3 of 6" in capsys.readouterr().err
    assert again(videos, tmp_path / "new") == 0
    assert numbers(tmp_path / "new") == numbers(finished)


def test_a_signal_before_the_first_step_leaves_a_checkpoint(
    finished, videos, tmp_path, monkeypatch
):
    """Else the same command would find a backbone that nothing can go on from."""
    enter = pretrain.TrainingProgress.__enter__

    def interrupted(bar):
        os.kill(os.getpid(), signal.SIGTERM)
        return enter(bar)

    with monkeypatch.context() as patch:
        patch.setattr(pretrain.TrainingProgress, "__enter__", interrupted)
        assert again(videos, tmp_path / "new") == 143
    assert [path.stem for path in list_checkpoints(tmp_path / "new" / "checkpoints")] == [
        "step_00000000"
    ]
    assert again(videos, tmp_path / "new") == 0
    assert numbers(tmp_path / "new") == numbers(finished)


def test_a_finished_run_is_done_even_without_its_videos(finished, run, capsys):
    assert again("nowhere/", run) == 0  # a scratch disk that is cleared with the job
    error = " ".join(capsys.readouterr().err.split())
    assert "run is finished: its 6 steps are taken." in error and "vidmoco report" in error
    assert numbers(run) == numbers(finished)
    assert main(["pretrain", "--run", str(run), "--resume", "--log", "tensorboard"]) == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "run is finished: its 6 steps are taken. More: --steps N or --epochs N." in error
    assert "steps 6 to 6" not in error and any((run / "tensorboard").iterdir())  # it joins
    (run / "backbone").rename(run / "away")  # killed between the last checkpoint and the backbone
    assert again(None, run) == 0
    assert (run / "backbone" / "config.json").is_file()


def test_a_finished_run_is_extended(run, videos, capsys):
    assert again(videos, run, "--steps", "8") == 0
    assert [line["step"] for line in numbers(run)] == list(range(1, 9))
    assert again(videos, run) == 2
    assert "--steps gives 6 steps, but" in capsys.readouterr().err


def test_it_begins_anew_where_a_start_got_no_checkpoint(finished, run, videos):
    """With the settings that are given now: the first may have been the reason."""
    for name in ("checkpoints", "backbone"):
        shutil.rmtree(run / name)
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "step_00000002.pt.7.part").write_text("half")
    (run / "slurm-7.out").write_text("a log")
    assert again(videos, run, "--seed", "1") == 0
    assert len(numbers(run)) == 6 and numbers(run) != numbers(finished)
    assert (run / "slurm-7.out").read_text() == "a log"
    for left in ("config.yaml", "checkpoints", "backbone", "environment.json"):
        path = run / left  # killed before it wrote its settings
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert again(videos, run) == 0
    assert numbers(run) == numbers(finished)


def test_a_damaged_checkpoint_costs_only_itself(finished, run, videos, capsys):
    shutil.rmtree(run / "backbone")
    newest = list_checkpoints(run / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    assert again(videos, run) == 0
    error = " ".join(capsys.readouterr().err.split())
    assert "Cannot read the checkpoint" in error and "steps 4 to 6" in error
    assert newest.with_suffix(".damaged").stat().st_size == 1000
    assert numbers(run) == numbers(finished)


def test_what_is_in_the_way_is_a_line_and_stays(run, videos, tmp_path, capsys):
    def refused(folder, *words):
        capsys.readouterr()
        assert again(videos, folder, *words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "differ in optim.lr: 0.12 and 1.0" in refused(run, "--optim.lr", "1")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    assert "mine is not empty. Give another --run" in refused(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    shutil.rmtree(run / "checkpoints")
    assert "it has no config.yaml or no checkpoint" in refused(run)
    assert (run / "backbone").is_dir() and len(numbers(run)) == 6
    assert main(["pretrain", str(videos), *AUTO]) == 2
    assert "Give --run" in capsys.readouterr().err


def test_a_folder_of_videos_may_still_follow_the_flag(run, videos, capsys):
    words = ["pretrain", *TINY, "--backbone.name", "test_resnet", "--run", str(run), "--steps"]
    assert main([*words, "7", "--resume", str(videos)]) == 0
    assert main([*words, "8", "--resume=auto", str(videos)]) == 0
    assert len(numbers(run)) == 8
    assert main([*words, "8", "--resume=maybe"]) == 2
    assert "maybe" in capsys.readouterr().err


def test_from_python(videos, tmp_path):
    settings = SMALL | {"run": tmp_path / "a", "steps": 2, "resume": "auto"}
    first = vidmoco.pretrain(videos, **settings)
    assert vidmoco.pretrain(videos, **settings) == first and first.is_finished
    assert vidmoco.pretrain(videos, **settings | {"steps": 3}).metrics.num_rows == 3
    with pytest.raises(ConfigError, match=r"differ in seed: 0 and 4"):
        vidmoco.pretrain(videos, **settings | {"steps": 3, "seed": 4})
    with pytest.raises(ConfigError, match="Give --run"):
        vidmoco.pretrain(videos, **settings | {"run": None})


def test_an_extended_run_that_is_killed_is_not_finished(run, videos):
    """Its backbone is still that of before."""
    kept = (run / "backbone").rename(run.parent / "kept")
    with signal_in(1):
        assert again(videos, run, "--steps", "8") == 143
    shutil.rmtree(run / "backbone")
    kept.rename(run / "backbone")  # as a kill leaves it: SIGTERM wrote the backbone of step 7
    assert list_checkpoints(run / "checkpoints")[-1].stem == "step_00000007"
    assert not run_folder.is_finished(run)
    assert again(videos, run, "--steps", "8") == 0
    assert run_folder.is_finished(run) and len(numbers(run)) == 8


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"vidmoco": {"steps": "x"}}'])
def test_a_damaged_backbone_is_made_again(text, run, videos):
    about = run / "backbone" / "config.json"
    about.write_text(text)
    assert not run_folder.is_finished(run)
    assert again(videos, run) == 0
    assert run_folder.is_finished(run)


def test_a_disk_that_cannot_be_read_damages_no_checkpoint(run, videos, monkeypatch, capsys):
    shutil.rmtree(run / "backbone")
    before = list_checkpoints(run / "checkpoints")

    def fails(*args, **options):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("torch.load", fails)
    assert again(videos, run) == 2
    assert "Input/output error" in capsys.readouterr().err
    assert list_checkpoints(run / "checkpoints") == before


def test_the_backbone_has_the_recipe_that_the_run_began_with(run, videos):
    shutil.rmtree(run / "backbone")
    assert main(["pretrain", "--run", str(run), "--resume"]) == 0
    assert read_json(run / "backbone" / "config.json")["vidmoco"]["recipe"] == "tiny_cpu"
    (run / "environment.json").write_text("{")
    assert run_folder.recipe_of(run) == ""
