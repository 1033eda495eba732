"""What an evaluation shows while it goes on: a bar on a terminal, lines in a log."""

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LOG_LINE_SECONDS = 30.0


class EvaluationProgress:
    """Images passed through the backbones, and what is being done to which of them."""

    def __init__(self, console: Console, *, total_images: int) -> None:
        self.console, self.total_images = console, total_images
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("images"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total_images)
        self._stage, self._num_done = "", 0
        self._last_line = time.monotonic()

    def __enter__(self) -> "EvaluationProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, stage: str) -> None:
        """Show that ``stage`` begins."""
        self._stage = stage
        self._bar.update(self._task, description=escape(stage))
        if not self.console.is_terminal:
            self.say(f"{stage} …")

    def advance(self, num_images: int) -> None:
        """Show that so many more images are done."""
        self._num_done = min(self._num_done + num_images, self.total_images)
        self._bar.update(self._task, completed=self._num_done)
        if time.monotonic() - self._last_line > LOG_LINE_SECONDS and not self.console.is_terminal:
            self.say(f"{self._stage}: {self._num_done}/{self.total_images} images")

    def tell(self, how_far: str) -> None:
        """Show how far a stage without images to count is."""
        self._bar.update(self._task, description=escape(f"{self._stage}: {how_far}"))
        if time.monotonic() - self._last_line > LOG_LINE_SECONDS and not self.console.is_terminal:
            self.say(f"{self._stage}: {how_far}")

    def say(self, text: str) -> None:
        """Print a line."""
        self._last_line = time.monotonic()
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
