import errno
import os
import subprocess
import sys

import pytest
import torch
from painted_videos import write_video

from vidmoco import __version__
from vidmoco.cli.main import COMMANDS, exit_code_of, main


def exit_code(words):
    """What the command line returns, or what tyro exits with."""
    try:
        return main(words)
    except SystemExit as exit_:
        return exit_.code


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"]])
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


def test_a_table_for_a_reader_that_has_ended(tmp_path):
    """Tables are rich's, which has an end of its own for this."""
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


@pytest.mark.parametrize("words", [["help", "scan"], ["scan", "-h"], ["scan", "folder", "--help"]])
def test_ways_to_ask_for_help(capsys, words):
    assert exit_code(words) == 0
    assert "usage: vidmoco scan" in capsys.readouterr().out


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
    assert exit_code(words) == 2
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
        (
            "prepare . -o file:///x",
            "-o file:///x is a URL, but frames are written to",
        ),
        ("demo --seed -1", "must be from 0 to 2^63 - 1"),
        ("pretrain v --epochs 1e308", "must be greater than 0, and at most 1e9"),
        (
            "prepare v -o x --fps 1e9",
            "must be None (every frame) or greater than 0 and at most 1000",
        ),
        ("extract v -o x.npy --fps inf", "must be greater than 0 and at most 1000"),
        ("prepare v -o x --labels-key k", "--labels-key names a column of --labels"),
        ("prepare -o x", "VIDEOS is not given; it must be one or more folders or files."),
        ("extract -o x --backbone b", "VIDEOS is not given; it must be one or more folders or"),
        ("evaluate i --backbone b --k 0", "--k is 0; it must be one or more numbers, each at leas"),
        ("evaluate i --backbone b --k", "--k is not given; it must be one or more numbers, each"),
        ("evaluate i --backbone b --k 5 5", "--k is 5 5; it must be different numbers."),
        (
            "evaluate i --backbone b --few-shot 2",
            "--few-shot is 2.0; it must be shares, each b",
        ),
        ("pretrain v --augment.blur-sigma 3 1", "--augment.blur-sigma is 3.0 1.0; it must be two"),
    ],
)
def test_numbers_without_end_and_flags_without_use(capsys, words, expected):
    assert main(words.split()) == 2
    assert expected in capsys.readouterr().err


def test_python_dash_m():
    result = subprocess.run(
        [sys.executable, "-m", "vidmoco", "--version"], capture_output=True, text=True, check=False
    )
    assert result.stdout.startswith("vidmoco ")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB"),
    ],
)
def test_memory_that_is_used_up_is_one_line(error, capsys):
    def run():
        raise error

    assert exit_code_of(run) == 2
    said = capsys.readouterr().err
    assert said.startswith("vidmoco: There is not enough memory: ")
    assert "Give a smaller --batch-size" in said and said.count("\n") == 1


def test_a_fault_of_the_program_keeps_its_traceback():
    def run():
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        exit_code_of(run)
