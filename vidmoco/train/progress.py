"""The progress display of a training: steps, time left, and the newest metrics."""

from typing import Any

from rich.console import Console

from vidmoco.console import say
from vidmoco.progress import ProgressBar

SMALLER_RECIPE = "tiny_cpu"
DAY = 86_400.0


class TrainingProgress(ProgressBar):
    """A progress bar with the newest metrics; it warns once if the run takes days."""

    def __init__(self, console: Console, *, total_steps: int, start_step: int, recipe: str) -> None:
        super().__init__(console, "step", total=total_steps, done=start_step, log=True)
        self._recipe, self._warned, self._estimated = recipe, False, False

    def show(self, step: int, metrics: dict[str, Any], *, num_failures: int) -> None:
        """Show the number of steps done and ``metrics``, the newest line of metrics.jsonl."""
        self.update(done=step, note=describe(metrics, num_failures=num_failures))
        seconds_left = self.seconds_left()
        if seconds_left is not None and not self._estimated:
            self._estimated = True
            say(self.console, f"{'time':<8}{length_of(seconds_left)} to come")
        if seconds_left is not None and seconds_left > DAY and not self._warned:
            self._warned = True
            line = f"At this speed the run takes {seconds_left / DAY:.1f} more days."
            if self._recipe != SMALLER_RECIPE:
                line += f" --recipe {SMALLER_RECIPE} (ResNet-18, 64 px) is made for a CPU."
            say(self.console, line)


def length_of(seconds: float) -> str:
    """Return about how long something takes, such as "12 minutes"."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.1f} hours" if seconds < 2 * DAY else f"{seconds / DAY:.1f} days"


def describe(metrics: dict[str, Any], *, num_failures: int) -> str:
    """Return a short text of the newest metrics."""
    if not metrics:
        return ""
    parts = [f"loss {metrics['loss']:.3f}"]
    if "top1" in metrics:  # not of a method without negatives
        parts.append(f"top-1 {metrics['top1']:.1f} %")
    parts.append(f"{metrics['pairs_per_second']:.0f} pairs/s")
    parts.append(f"data wait {metrics['data_wait_share']:.0%}")
    parts += [f"{num_failures} unreadable"] * bool(num_failures)
    return "  ".join(parts)
