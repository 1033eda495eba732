import shlex
from pathlib import Path

import pytest
import tyro

from vidmoco.config.command_line import command_line
from vidmoco.config.evaluation import EvaluateCommand, LabelledVideosConfig

CASES = {
    "--backbone a": {},
    "--backbone a --k 1 20 --tau 0.2 --no-linear": {
        "k": (1, 20), "tau": (0.2,), "linear": False,
    },
    "--backbone 'a b' random --finetune head all --finetune-epochs 3": {
        "backbone": ("a b", "random"), "finetune": ("head", "all"), "finetune_epochs": 3,
    },
    "--backbone a --videos.labels 'my clips.csv' --videos.group-column day --videos.where a=b": {
        "videos": LabelledVideosConfig(
            labels=Path("my clips.csv"), group_column="day", where=("a=b",)
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("flags", CASES)
def test_the_command_is_what_one_types(flags):
    command = EvaluateCommand(**{"images": Path("x y"), "backbone": ("a",)} | CASES[flags])
    line = command_line("evaluate", command, positional="images", leave_out=("output",))
    assert line == f"vidmoco evaluate 'x y' {flags}"
    assert tyro.cli(EvaluateCommand, args=shlex.split(line)[2:]) == command


def test_what_does_not_matter_is_left_out():
    command = EvaluateCommand(images=Path("x"), backbone=("a",), output=Path("r.json"), workers=3)
    line = command_line("evaluate", command, positional="images", leave_out=("output", "workers"))
    assert line == "vidmoco evaluate x --backbone a"
