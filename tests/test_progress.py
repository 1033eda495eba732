import io

import pytest
from child_processes import until
from rich.console import Console

from vidmoco import progress
from vidmoco.progress import ProgressBar


def log():
    return Console(file=io.StringIO(), width=200)


def terminal():
    return Console(file=io.StringIO(), width=200, force_terminal=True)


def test_a_terminal_has_a_bar():
    console = terminal()
    with ProgressBar(console, "a [b]\x1b", total=3, unit="images") as bar:
        assert list(bar.track("xyz")) == ["x", "y", "z"]
        bar.update(note="c [d]")
        bar._bar.refresh()
        shown = console.file.getvalue()
    assert "a [b]\\x1b" in shown and "3/3" in shown and "images" in shown and "c [d]" in shown
    assert bar.done == 3


def test_a_log_has_few_lines_unless_more_are_asked_for():
    console = log()
    with ProgressBar(console, "a", total=3) as bar:
        bar.begin("b")
        bar.advance(3)
    assert console.file.getvalue() == ""


@pytest.mark.parametrize("step", [True, False])
def test_a_log_has_a_line_now_and_then_also_within_a_long_step(monkeypatch, step):
    console = log()
    with ProgressBar(console, "a", total=3) as bar:
        bar.update(done=1, note="x")
        monkeypatch.setattr(progress, "LOG_LINE_SECONDS", -1.0 if step else 0.01)
        if step:
            bar.update(done=2, note="x")
        until(lambda: console.file.getvalue().count("\n") > 1)
    lines = set(console.file.getvalue().splitlines())
    assert lines <= {"a 1/3  x", "a 2/3  x"} and (not step or "a 2/3  x" in lines)


@pytest.mark.parametrize("make", [log, terminal])
def test_a_quiet_console_shows_nothing(make):
    console = make()
    console.quiet = True
    with ProgressBar(console, "a", total=3, log=True) as bar:
        bar.advance(3)
    assert console.file.getvalue() == ""


def test_lines_of_a_log(monkeypatch):
    console = log()
    with ProgressBar(console, "a", total=10, done=2, unit="images", log=True) as bar:
        bar._ended.set()  # no lines of themselves
        bar._heartbeat.join()
        bar.advance()  # too soon after the start
        assert console.file.getvalue() == ""
        monkeypatch.setattr(progress, "LOG_LINE_SECONDS", -1.0)
        bar.begin("b")
        bar.advance()
        bar.update(note="half of it")
        bar.update(done=5, note="top-1 9 %")
        monkeypatch.setattr(progress, "LOG_LINE_SECONDS", 1e9)
        bar.advance()
        bar.update(done=12)  # more than there are; the last step has its line
        bar.update(done=12)
    assert console.file.getvalue().splitlines() == [
        "b …", "b 4/10 images", "b: half of it", "b 5/10 images  top-1 9 %",
        "b 10/10 images",
    ]  # fmt: skip


def test_a_part_that_is_not_counted_shows_no_count(monkeypatch):
    console = log()
    with ProgressBar(console, "a", total=3, unit="images", log=True) as bar:
        bar._ended.set()
        bar._heartbeat.join()
        bar.advance(3)
        bar.begin("b: probe", counts=False)
        monkeypatch.setattr(progress, "LOG_LINE_SECONDS", -1.0)
        bar.update(note="2 of 5 decays")
        bar.begin("b: features")
        bar.update(done=3)
    lines = ["a 3/3 images", "b: probe …", "b: probe: 2 of 5 decays", "b: features …"]
    assert console.file.getvalue().splitlines() == [*lines, "b: features 3/3 images"]


def test_nor_does_the_line_of_every_half_minute(monkeypatch):
    monkeypatch.setattr(progress, "LOG_LINE_SECONDS", 0.01)
    console = log()
    with ProgressBar(console, "a", total=3, done=3) as bar:
        bar.begin("probe", counts=False)
        until(lambda: "probe …\n" in console.file.getvalue())
        bar.update(note="2 of 5")
        until(lambda: "probe: 2 of 5\n" in console.file.getvalue())
    assert "probe 3/3" not in console.file.getvalue()


def test_a_terminal_hides_what_it_does_not_count():
    console = terminal()
    with ProgressBar(console, "a", total=3, done=3, unit="images") as bar:
        bar.begin("probe", counts=False)
        bar.update(note="2 of 5")
        console.file.truncate(0)
        bar._bar.refresh()
        shown = console.file.getvalue()
        assert "probe" in shown and "2 of 5" in shown
        assert not any(word in shown for word in ("3/3", "images", "left"))
        bar.begin("b")
        bar._bar.refresh()
        assert "3/3" in console.file.getvalue()


def test_the_last_step_has_no_time_left(monkeypatch):
    console = log()
    with ProgressBar(console, "a", total=9, log=True) as bar:
        for _ in range(9):
            bar.advance()
    assert console.file.getvalue() == "a 9/9\n"


def test_the_time_left_is_that_of_the_speed_after_the_first_steps(monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    console = log()
    bar = ProgressBar(console, "step", total=100, done=10)
    for step in range(11, 16):
        now += 100.0  # slow at first
        bar.update(done=step)
        assert bar.seconds_left() is None
    now += 2.0
    bar.update(done=16)
    assert bar.seconds_left() == 2.0 * 84
    bar.update(done=100)
    assert bar.seconds_left() == 0.0


def test_nobody_knows_how_many():
    console = log()
    with ProgressBar(console, "a", total=None, log=True) as bar:
        for _ in range(10):
            bar.advance(7)
        assert bar.done == 70 and bar.seconds_left() is None
