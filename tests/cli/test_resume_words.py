import pytest

from vidmoco.cli.main import main
from vidmoco.cli.resume_words import run_config, with_resume
from vidmoco.errors import ConfigError


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints = tmp_path / "rs" / "b" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "step_00000004.pt").touch()
    (tmp_path / "rs" / "b" / "config.yaml").touch()
    (tmp_path / "videos").mkdir()
    return "rs/b"


def test_resume_has_a_value():
    assert with_resume(["v", "--resume"]) == ["v", "--resume=yes"]
    assert with_resume(["--resume", "auto", "v"]) == ["--resume=auto", "v"]
    assert with_resume(["--resume", "v"]) == ["--resume=yes", "v"]  # videos that have moved


@pytest.mark.parametrize(
    "words",
    [
        "--resume rs/b",
        "--resume=rs/b",
        "videos --resume rs/b",
        "rs/b --resume",
        "--seed=3 rs/b --resume auto",
        "--resume rs/b/",
        "--resume ./rs/b",
    ],
)
def test_a_run_where_other_tools_name_it(run, words, capsys):
    assert main(["pretrain", *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("is a run folder: vidmoco pretrain --run rs/b --resume")


@pytest.mark.parametrize("inner", ["checkpoints/step_00000004.pt", "checkpoints", "backbone"])
def test_what_is_in_a_run_names_it(run, inner, capsys):
    assert main(["pretrain", "--resume", f"{run}/{inner}"]) == 2
    assert capsys.readouterr().err == (
        f"vidmoco: rs/b/{inner} is of the run rs/b: vidmoco pretrain --run rs/b --resume\n"
    )


def test_a_run_after_its_own_flag_is_no_mistake(run):
    words = ["--run", run, "--resume", "--recipe", run, "videos"]
    assert with_resume(words) == ["--run", run, "--resume=yes", "--recipe", run, "videos"]
    assert with_resume([run, "--seed", "3"]) == [run, "--seed", "3"]  # nothing is resumed


def test_a_folder_that_only_has_a_config_is_no_run(tmp_path):
    (tmp_path / "config.yaml").touch()
    words = ["--resume=yes", str(tmp_path)]
    assert with_resume(words) == words


def test_another_value(capsys):
    assert main(["pretrain", "--resume=maybe"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("--run names the run. Give --run RUN --resume.")


def test_a_run_that_is_none(run):
    with pytest.raises(ConfigError, match=r"no config\.yaml\. Give --run\.$"):
        run_config(None)
    with pytest.raises(ConfigError, match=r"at rs/none: it has no config\.yaml\.$"):
        run_config("rs/none")
    for inner in ("rs/b/checkpoints/step_00000004.pt", "rs/b/other"):
        with pytest.raises(ConfigError, match=r"Its run is rs/b: --run rs/b$"):
            run_config(inner)
    assert str(run_config(run)) == "rs/b/config.yaml"
