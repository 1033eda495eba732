import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from vidmoco.cli.main import COMMANDS, main
from vidmoco.config.methods import METHOD_CONFIGS

LIST = Path(__file__).with_name("flags.txt")
DECIDE = f"""
The flags of a command are a promise, and {LIST.name} is the list of them. Is a new one here?
  - Is there a use that a recipe or a benchmark shows? If not, leave the setting out.
  - Does everyone need it? Mark it Everyday, with a short name (vidmoco/config/fields.py).
  - Is it stated once by a recipe and hardly ever turned? Mark it Expert: --help leaves it out.
  - Does another command have the same thing? Then it has the same name.
Then change {LIST.name} and CHANGELOG.md. Is one gone? That breaks users' commands."""

METHODS = [f"pretrain --method.name {name}" for name in METHOD_CONFIGS]


def help_of(words, capsys, monkeypatch, *, columns=120):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 0
    return capsys.readouterr().out


def flags_in(text):
    """The flags of each line of a help that begins with some, the names of one setting together."""
    firsts = [
        line.split("  ")[0] for line in re.findall(r"^[│ ] (--?[a-zA-Z].*)$", text, re.MULTILINE)
    ]
    return [re.findall(r"(?<![\w|{-])--?[a-zA-Z][\w.-]*", first) for first in firsts]


def listed(*, words, shown, every):
    lines = [f"{words}:"]
    for names in every:
        if names != ["-h", "--help"] and ("--method.name" not in words or "--method." in names[0]):
            lines.append(("  " if names in shown else "  hidden ") + " ".join(names))
    return lines


def test_every_flag_is_a_decision(capsys, monkeypatch):
    lines = []
    for words in [*COMMANDS, *METHODS]:
        shown = flags_in(help_of([*words.split(), "--help"], capsys, monkeypatch))
        every = flags_in(help_of([*words.split(), "--help-all"], capsys, monkeypatch))
        assert [names for names in every if names in shown] == shown
        lines += listed(words=words, shown=shown, every=every)
    wanted = LIST.read_text().splitlines()
    gone, new = set(wanted) - set(lines), set(lines) - set(wanted)
    assert lines == wanted, f"New: {sorted(new)}. Gone: {sorted(gone)}.\n{DECIDE}"


def test_about_sixty_flags_are_shown(capsys, monkeypatch):
    for words in ["pretrain", *METHODS]:
        assert 50 <= len(flags_in(help_of([*words.split(), "-h"], capsys, monkeypatch))) <= 65


@pytest.mark.parametrize("columns", [80, 120, 250])
def test_what_everyone_uses_comes_first_and_lines_fit(capsys, monkeypatch, columns):
    text = help_of(["pretrain", "--help"], capsys, monkeypatch, columns=columns)
    assert shutil.get_terminal_size().columns == columns  # as before
    assert all(len(line) <= min(columns, 120) for line in text.splitlines())
    first = [names[0] for names in flags_in(text)[1:12]]
    assert set(first) == {
        "--recipe", "--run", "--resume", "--seed", "--epochs", "--steps", "--batch-size",
        "--single-frame", "--workers", "--device", "--precision",
    }  # fmt: skip
    places = [text.index(f" {part} options ") for part in ("data", "augment", "method", "engine")]
    assert all(text.index(flag) < places[0] for flag in first)
    assert all(a < b for a, b in pairwise(places))
    assert "vidmoco pretrain --help-all shows 38 more" in text


def test_help_texts_are_paragraphs(capsys, monkeypatch):
    text = " ".join(
        line.strip("│ ") for line in help_of(["preview", "-h"], capsys, monkeypatch).splitlines()
    )
    assert "`linear_decay`: both frames are drawn uniformly from the video, so short" in text
    assert "(default: None)" not in text and "--no-resume" not in text


def test_help_shows_the_recipe_and_the_method(capsys, monkeypatch):
    words = ["pretrain", "--help", "--recipe", "moco_v3_vit_small"]
    assert "(default: vidmoco_vit_small_moco_v3)" in help_of(words, capsys, monkeypatch)
    text = help_of(["pretrain", "--help", "--method.name", "memory_bank"], capsys, monkeypatch)
    assert "--method.num-negatives INT" in text and "{moco,moco_v3,fast_moco," in text
    assert "--method.projector-layers" not in text


def test_commands_without_settings_for_experts(capsys, monkeypatch):
    assert "--help-all" not in help_of(["extract", "--help"], capsys, monkeypatch)
    for flag in ("--help", "--help-all"):
        assert "--max-pixels" in help_of(["extract", flag], capsys, monkeypatch)
    assert "--max-pixels" not in help_of(["search", "--help"], capsys, monkeypatch)
    assert "--max-pixels" in help_of(["search", "--help-all"], capsys, monkeypatch)
