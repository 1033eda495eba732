import io
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from vidmoco.console import LastingConsole, Table, say, say_first, say_result, wide_console
from vidmoco.progress import ProgressBar


def said(*lines, terminal=False, **options):
    file = io.StringIO()
    console = Console(file=file, width=20, force_terminal=terminal, color_system="standard")
    say(console, *lines, **options)
    return file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_lines_are_as_they_are(terminal):
    markup = "[bold]x[/bold] 12 'a' " + "long " * 10
    assert said(markup, 3, terminal=terminal) == f"{markup}\n3\n"
    assert said() == ""


def test_what_a_terminal_would_obey_is_an_escape():
    assert said("a\x1b[31m\nb\udc80") == "a\\x1b[31m\\nb\\udc80\n"


def test_a_style():
    assert said("x", terminal=True, style="bold") == "\x1b[1mx\x1b[0m\n"


def test_a_result_goes_to_standard_output(capsys):
    say_result("a [red]", "b")
    assert capsys.readouterr() == ("a [red]\nb\n", "")


def test_the_first_of_many_lines(capsys):
    console = Console()
    say_first(console, ["a", "b"], most=2)
    assert capsys.readouterr().out == "  a\n  b\n"
    say_first(console, [str(n) for n in range(2000)], most=1, where="x.json")
    assert capsys.readouterr().out == "  0\n  … and 1,999 more, all in x.json\n"
    say_first(console, ["a", "b"], most=1)
    assert capsys.readouterr().out == "  a\n  … and 1 more\n"


def test_a_table_is_not_wrapped_in_a_pipe():
    def shown(**options):
        table = Table("x" * 100)
        console = Console(file=io.StringIO(), width=40, **options)
        wide_console(console, columns=150).print(table)
        return console.file.getvalue()

    assert "x" * 100 in shown()
    assert "x" * 100 not in shown(force_terminal=True)
    assert shown(quiet=True) == ""


def test_cells_of_a_table_are_escaped_and_have_no_markup():
    file = io.StringIO()
    table = Table("name", "number")
    table.add_row("a\x1b[31m\nb", Text("\u202e[bold]", style="bold"))
    table.add_row("3", "[red]x")
    Console(file=file, width=99).print(table)
    text = file.getvalue()
    assert all(part in text for part in ("a\\x1b[31m\\nb", "\\u202e[bold]", "[red]x"))


@pytest.mark.parametrize("terminal", [True, False])
def test_work_outlives_its_terminal_and_the_reader_of_a_pipe(monkeypatch, terminal):
    reader, writer = os.openpty() if terminal else os.pipe()
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        console = LastingConsole()
        assert console.is_terminal == terminal
        with ProgressBar(console, "step", total=2, log=True) as bar:
            bar.advance()
            say(console, "read")
            text = b""
            while b"read" not in text:  # a terminal gives it in pieces
                text += os.read(reader, 100_000)
            os.close(reader)
            say(console, "lost")
            bar.advance()
        say(console, "lost")
        stream.write("also where Python ends")


def test_a_full_disk_is_still_an_error(monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path(os.devnull).open("w") as stream:
        full = os.open("/dev/full", os.O_WRONLY)
        null = os.dup(stream.fileno())
        os.dup2(full, stream.fileno())
        monkeypatch.setattr(sys, "stderr", stream)
        with pytest.raises(OSError, match="No space"):
            say(LastingConsole(), "x")
        os.dup2(null, stream.fileno())
        os.close(full)
        os.close(null)
