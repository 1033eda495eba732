"""What a long run shows while it goes on: a bar on a terminal, a line now and then in a log."""

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SMALLER_RECIPE = "tiny_cpu"
LOG_LINE_SECONDS = 30.0
# The speed of the first steps (start of the workers, compilation) says nothing of the rest.
STEPS_BEFORE_ESTIMATE = 5
DAY = 86_400.0


class TrainingProgress:
    """Steps done, time left, and the newest metrics."""

    def __init__(self, console: Console, *, total_steps: int, start_step: int, recipe: str) -> None:
        self.console, self.total_steps, self.recipe = console, total_steps, recipe
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[metrics]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(
            "pretrain", total=total_steps, completed=start_step, metrics=""
        )
        self._measured_from: tuple[int, float] | None = None
        self._first_step, self._warned = start_step, False
        self._last_line = time.monotonic()

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, step: int, metrics: dict[str, Any], *, num_failures: int) -> None:
        """Show that ``step`` steps are done; ``metrics`` is the newest line of metrics.jsonl."""
        text = describe(metrics, num_failures=num_failures)
        self._bar.update(self._task, completed=step, metrics=text)
        now = time.monotonic()
        if step - self._first_step == STEPS_BEFORE_ESTIMATE:
            self._measured_from = (step, now)
        seconds_left = self._seconds_left(step, now)
        if seconds_left is not None and seconds_left > DAY and not self._warned:
            self._warned = True
            self.console.print(self._days_line(seconds_left), markup=False, soft_wrap=True)
        if not self.console.is_terminal and (
            now - self._last_line > LOG_LINE_SECONDS or step == self.total_steps
        ):
            self._last_line = now
            left = "" if seconds_left is None else f", {seconds_left / 60:.1f} min left"
            self.console.print(
                f"step {step}/{self.total_steps}{left}  {text}", markup=False, soft_wrap=True
            )

    def _seconds_left(self, step: int, now: float) -> float | None:
        if self._measured_from is None or step == self._measured_from[0]:
            return None
        first, began = self._measured_from
        return (now - began) / (step - first) * (self.total_steps - step)

    def _days_line(self, seconds_left: float) -> str:
        line = f"At this speed the run takes {seconds_left / DAY:.1f} more days."
        if self.recipe != SMALLER_RECIPE:
            line += f" --recipe {SMALLER_RECIPE} (ResNet-18, 64 px) is made for a CPU."
        return line


def describe(metrics: dict[str, Any], *, num_failures: int) -> str:
    """Return the newest metrics as one short text."""
    if not metrics:
        return ""
    text = (
        f"loss {metrics['loss']:.3f}  top-1 {metrics['top1']:.1f} %  "
        f"{metrics['pairs_per_second']:.0f} pairs/s  data wait {metrics['data_wait_share']:.0%}"
    )
    return text + (f"  {num_failures} unreadable" if num_failures else "")
