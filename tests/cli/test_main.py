import os
import subprocess
import sys
from contextlib import suppress

import pytest
from painted_videos import write_video

from vidmoco import __version__
from vidmoco.cli.main import COMMANDS, _parse, main
from vidmoco.config.recipe import load_recipe


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


@pytest.mark.parametrize("words", [["--help"], ["evaluate", "--help"]])
def test_a_reader_that_has_ended_is_no_error_of_ours(words):
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "vidmoco", *words],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


def test_a_table_for_a_reader_that_has_ended(tmp_path, monkeypatch):
    """Tables are rich's, which has an end of its own for this."""
    monkeypatch.setenv("VIDMOCO_CACHE", str(tmp_path / "cache"))
    write_video(tmp_path / "v" / "a.mp4", num_frames=2)
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "vidmoco", "scan", str(tmp_path / "v")],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (result.returncode, b"Traceback" in result.stderr) == (141, False)


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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("scan nowhere --max-duration inf", "nowhere"),  # a limit may be taken away
        ("pretrain v --optim.lr inf", "--optim.lr is inf; it must be a finite number"),
        ("pretrain v --method.tau inf", "--method.tau is inf; it must be a finite number"),
        ("prepare v -o x --shard-mib inf", "--shard-mib is inf; it must be a finite number"),
        ("prepare v -o file:///x", "-o file:///x is a URL; frames are written to local folders"),
        ("demo --seed -1", "must be from 0 to 2^63 - 1"),
        ("pretrain v --epochs 1e308", "must be greater than 0, and at most 1e9"),
        ("prepare v -o x --fps 1e9", "must be None (all) or greater than 0 and at most 1000"),
        ("extract v -o x.npy --fps inf", "must be greater than 0 and at most 1000"),
        ("prepare v -o x --labels-key k", "--labels-key is the column of --labels, which is not"),
    ],
)
def test_numbers_without_end_and_flags_without_use(capsys, words, expected):
    with suppress(SystemExit):  # tyro's way to exit with 2
        assert main(words.split()) == 2
    printed = capsys.readouterr().err.replace("│", " ")
    assert expected in " ".join(printed.split())


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
