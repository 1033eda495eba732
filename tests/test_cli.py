import subprocess
import sys

import pytest

from vidmoco import __version__
from vidmoco.cli import COMMANDS, _parse, main
from vidmoco.recipe import load_recipe


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_the_overview_names_every_command(capsys, words):
    assert main(words) == 0
    printed = capsys.readouterr().out
    for name in COMMANDS:
        assert f"  {name} " in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help(capsys, name):
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"])
    assert exit_.value.code == 0
    assert f"usage: vidmoco {name}" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vidmoco {__version__}\n"


def test_an_unknown_command_names_the_nearest(capsys):
    assert main(["pretrian"]) == 2
    assert "Did you mean 'pretrain'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["pretrain", "v", "--optim.lrr", "1"], ["--optim.lrr", "--optim.lr"]),
        (["pretrain", "v", "--optim.lr", "fast"], ["--optim.lr", "fast"]),
        (["pretrain", "v", "--optim.lr", "-1"], ["--optim.lr", "greater than 0"]),
        (
            ["pretrain", "v", "--recipe", "moco_v2", "--method.head", "conv"],
            ["--method.head", "mlp"],
        ),
        (["pretrain", "v", "--augment.shared", "colour"], ["--augment.shared", "crop", "flip"]),
        (["pretrain", "v", "--augment.small-crops", "17"], ["--augment.small-crops", "from 0"]),
        (["extract", "v.mp4", "-o", "f.npy", "--fps", "0"], ["--fps", "greater than 0"]),
        (["extract", "v.mp4"], ["--output"]),
        (["evaluate", "images"], ["--backbone"]),
    ],
)
def test_wrong_flags_are_refused_by_name(capsys, words, parts):
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    for part in parts:
        assert part in error


@pytest.mark.parametrize("command", ["pretrain", "preview"])
def test_the_default_recipe_is_our_own(command):
    parsed = _parse(command, ["videos"])
    assert parsed.recipe == "vidmoco"
    assert parsed.config.method == load_recipe("vidmoco").method
    assert parsed.config.data.max_gap == 1.5


def test_a_flag_overrides_the_recipe_wherever_it_stands():
    for words in (
        ["v", "--recipe", "moco_v1", "--optim.lr", "0.5"],
        ["--optim.lr", "0.5", "--recipe=moco_v1", "v"],
    ):
        config = _parse("pretrain", words).config
        assert (config.optim.lr, config.method.tau, config.method.head) == (0.5, 0.07, "linear")


def test_lists_of_names_and_numbers_that_may_be_none():
    words = ["v", "--augment.shared", "crop", "flip", "--augment.second-blur-probability", "0.1"]
    augment = _parse("pretrain", words).config.augment
    assert augment.shared == ("crop", "flip")
    assert augment.second_blur_probability == 0.1
    words = ["--augment.second-blur-probability", "None", "--augment.shared", "flip"]
    augment = _parse("pretrain", ["v", *words]).config.augment
    assert augment.second_blur_probability is None
    assert augment.shared == ("flip",)


def test_python_dash_m():
    result = subprocess.run(
        [sys.executable, "-m", "vidmoco", "--version"], capture_output=True, text=True, check=False
    )
    assert result.stdout.startswith("vidmoco ")
