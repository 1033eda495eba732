"""Progress and time left: a bar on a terminal, lines in a log."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
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


class _WhileCounting(ProgressColumn):
    """A column that is empty in a part of the work whose steps are not counted."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        return self._column(task) if task.fields["counts"] else ""


class ProgressBar:
    """A progress bar, shown inside its ``with`` block.

    Where the console is no terminal (a log, a notebook), a line is printed at least every
    ``LOG_LINE_SECONDS``, also while a step takes longer than that.
    """

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
            log: on a terminal, leave the bar when the block ends. Elsewhere, also print a line at
                the last step and for each ``begin``.
        """
        self.console, self.total, self.done = console, total, done
        self._what, self._unit = what, f" {unit}" if unit else ""
        is_shown = console.is_terminal and not console.quiet
        self._logs, self._log_all = not is_shown, log and not is_shown
        self._note, self._counts = "", True
        self._ended = threading.Event()
        self._heartbeat = threading.Thread(target=self._beat, daemon=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            _WhileCounting(BarColumn(bar_width=24)),
            _WhileCounting(MofNCompleteColumn()),
            _WhileCounting(TextColumn(self._unit)),
            TimeElapsedColumn(),
            _WhileCounting(TextColumn("left")),
            _WhileCounting(TimeRemainingColumn()),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=not log,
            disable=not is_shown,
        )
        self._task = self._bar.add_task(
            escaped(what), total=total, completed=done, note="", counts=True
        )
        self._num_updates, self._measured_from = 0, (done, 0.0)
        self._last_line = time.monotonic()

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        if self._logs:
            self._heartbeat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        self._ended.set()
        if self._logs:
            self._heartbeat.join()

    def begin(self, what: str, *, counts: bool = True) -> None:
        """Show that another part of the same work begins.

        Args:
            what: description of the part.
            counts: whether its steps are among the total; else its notes say how far it is.
        """
        self._what, self._counts, self._note = what, counts, ""
        self._bar.update(self._task, description=escaped(what), note="", counts=counts)
        if self._log_all:
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
        before, self._note = self.done, note
        if done is not None:
            self.done = done if self.total is None else min(done, self.total)
            self._num_updates += 1
            if self._num_updates == _STEPS_BEFORE_ESTIMATE:
                self._measured_from = self.done, time.monotonic()
        is_last = self.done == self.total != before
        self._bar.update(self._task, completed=self.done, note=escaped(note))
        if (is_last and self._log_all) or (self._logs and self._is_time()):
            self._say(self._line(note, with_count=done is not None and self._counts))

    def seconds_left(self) -> float | None:
        """Return how long the rest takes at the speed so far, or None if it is too early to say."""
        first, began = self._measured_from
        if self._num_updates <= _STEPS_BEFORE_ESTIMATE or self.total is None or self.done == first:
            return None
        return (time.monotonic() - began) / (self.done - first) * (self.total - self.done)

    def _line(self, note: str, *, with_count: bool) -> str:
        if not with_count:
            return f"{self._what}: {note}" if note else f"{self._what} …"
        seconds = None if self.done == self.total else self.seconds_left()
        left = "" if seconds is None else f", {seconds / 60:.1f} min left"
        count = f"{self.done}/{self.total}" if self.total is not None else str(self.done)
        return f"{self._what} {count}{self._unit}{left}  {note}".rstrip()

    def _is_time(self) -> bool:
        return time.monotonic() - self._last_line > LOG_LINE_SECONDS

    def _beat(self) -> None:
        """Print a line now and then for as long as nothing else does."""
        while not self._ended.wait(max(LOG_LINE_SECONDS / 10, 0.01)):
            if self._is_time():
                self._say(self._line(self._note, with_count=self._counts))

    def _say(self, line: str) -> None:
        self._last_line = time.monotonic()
        say(self.console, line)
