"""Progress and time left: a bar on a terminal, lines in a log."""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vidmoco.console import say
from vidmoco.text import escaped

T = TypeVar("T")

LOG_LINE_SECONDS = 30.0
# The first steps (start of the workers, compilation) say nothing about the speed of the rest.
_STEPS_BEFORE_ESTIMATE = 5


class ProgressBar:
    """A progress bar, shown inside its ``with`` block."""

    def __init__(
        self,
        console: Console,
        what: str,
        *,
        total: int | None,
        done: int = 0,
        unit: str = "",
        log: bool = False,
    ) -> None:
        """Set up the bar; it is shown when the block begins.

        Args:
            console: the bar is shown if this is a terminal.
            what: description of the work.
            total: number of steps; None if it is unknown.
            done: number of steps that are done already.
            unit: name of a step in the bar, such as "videos".
            log: on a terminal, leave the bar when the block ends. Elsewhere, print a line every
                ``LOG_LINE_SECONDS``, at the last step and for each ``begin``.
        """
        self.console, self.total, self.done = console, total, done
        self._what, self._unit = what, f" {unit}" if unit else ""
        is_shown = console.is_terminal and not console.quiet
        self._logs = log and not is_shown
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn(self._unit),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=not log,
            disable=not is_shown,
        )
        self._task = self._bar.add_task(escaped(what), total=total, completed=done, note="")
        self._num_updates, self._measured_from = 0, (done, 0.0)
        self._last_line = time.monotonic()

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, what: str) -> None:
        """Show that another part of the same total begins."""
        self._what = what
        self._bar.update(self._task, description=escaped(what), note="")
        if self._logs:
            self._say(f"{what} …")

    def advance(self, count: int = 1) -> None:
        """Count ``count`` more steps."""
        self.update(done=self.done + count)

    def track(self, items: Iterable[T]) -> Iterator[T]:
        """Yield ``items``; each is a step, counted when the next one is asked for."""
        for item in items:
            yield item
            self.advance()

    def update(self, *, done: int | None = None, note: str = "") -> None:
        """Show the number of steps done (None leaves it as it is) and a note."""
        before = self.done
        if done is not None:
            self.done = done if self.total is None else min(done, self.total)
            self._num_updates += 1
            if self._num_updates == _STEPS_BEFORE_ESTIMATE:
                self._measured_from = self.done, time.monotonic()
        is_last = self.done == self.total != before
        self._bar.update(self._task, completed=self.done, note=escaped(note))
        if self._logs and (is_last or time.monotonic() - self._last_line > LOG_LINE_SECONDS):
            self._say(self._line(note, with_count=done is not None))

    def seconds_left(self) -> float | None:
        """Return how long the rest takes at the speed so far, or None if it is too early to say."""
        first, began = self._measured_from
        if self._num_updates <= _STEPS_BEFORE_ESTIMATE or self.total is None or self.done == first:
            return None
        return (time.monotonic() - began) / (self.done - first) * (self.total - self.done)

    def _line(self, note: str, *, with_count: bool) -> str:
        if not with_count:
            return f"{self._what}: {note}"
        seconds = self.seconds_left()
        left = "" if seconds is None else f", {seconds / 60:.1f} min left"
        count = f"{self.done}/{self.total}" if self.total is not None else str(self.done)
        return f"{self._what} {count}{self._unit}{left}  {note}".rstrip()

    def _say(self, line: str) -> None:
        self._last_line = time.monotonic()
        say(self.console, line)
