"""metrics.jsonl: one line every few steps. A resumed run writes the same lines."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidmoco import distributed
from vidmoco.errors import TrainingError
from vidmoco.json_lines import append_line, drop_lines_after

# These depend on the machine; everything else is reproducible.
TIMING_KEYS = ("pairs_per_second", "data_wait_share", "seconds")
_ADVICE = (
    "Start again with a lower --optim.lr or --engine.precision fp32, or resume from the last "
    "checkpoint, if there is one, with --resume."
)


class MetricsLog:
    """Sums diagnostics on the device and writes their means every ``log_every`` steps."""

    def __init__(self, path: Path, *, log_every: int, batch_size: int, total_steps: int) -> None:
        self.path, self.log_every = path, log_every
        self.batch_size, self.total_steps = batch_size, total_steps
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.last: dict[str, Any] = {}
        self._start_interval()

    def _start_interval(self) -> None:
        self._began, self._waited, self._timed_steps = time.monotonic(), 0.0, 0

    def waited(self, seconds: float) -> None:
        """Count time that the training waited for data."""
        self._waited += seconds

    def leave_out(self, seconds: float) -> None:
        """Do not count the last ``seconds`` for the speed of the training."""
        self._began += seconds

    def log(
        self,
        step: int,
        *,
        values: Mapping[str, Tensor],
        epoch: float,
        lr: float,
        describe: Callable[[], dict[str, float]],
    ) -> bool:
        """Add the ``values`` (scalar tensors) of the ``step``-th step, counted from 1.

        At the end of an interval and of the run, a line is written with the means over the interval
        and the numbers of ``describe``. Values are read off the device only then. Return whether
        a line was written.

        Raises:
            TrainingError: the mean loss is not finite.
        """
        for name, value in values.items():
            total = self.sums.get(name)
            new = value.detach().to(torch.float64)
            self.sums[name] = new if total is None else total.to(new.device) + new
        self.count += 1
        self._timed_steps += 1
        if step % self.log_every and step != self.total_steps:
            return False
        self.require_finite()
        means = {
            name: distributed.gather_rows(total[None] / self.count).mean().item()
            for name, total in self.sums.items()
        }
        seconds = max(time.monotonic() - self._began, 1e-9)
        self.last = {
            "step": step,
            "epoch": round(epoch, 4),
            "lr": lr,
            **means,
            **describe(),
            "pairs_per_second": round(self._timed_steps * self.batch_size / seconds, 2),
            "data_wait_share": round(self._waited / seconds, 4),
            "seconds": round(seconds, 3),
        }
        if distributed.is_main():
            append_line(self.path, self.last)
        self.sums, self.count = {}, 0
        self._start_interval()
        return True

    def require_finite(self) -> None:
        """Raise ``TrainingError`` if the loss was not finite since the last line."""
        if "loss" in self.sums:
            require_finite(self.sums["loss"].item())

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the unfinished interval, for the checkpoint: (processes,) each.

        All processes call it together.
        """
        sums = {name: distributed.gather_rows(total[None]) for name, total in self.sums.items()}
        return {"sums": sums, "count": self.count}

    def load_state_dict(self, state: dict[str, Any], *, step: int) -> None:
        """Load the sums of a checkpoint, and drop the lines written after ``step``."""
        self.sums, self.count = {}, state["count"]
        for name, sums in state["sums"].items():
            same = sums.ndim == 1 and len(sums) == distributed.world_size()
            # Of an earlier version, or of another number of processes: the mean of all is the same.
            self.sums[name] = sums[distributed.rank()] if same else sums.mean()
        self._start_interval()
        if distributed.is_main():
            drop_lines_after(self.path, step)


def require_finite(loss: float) -> None:
    """Raise ``TrainingError`` if ``loss`` is infinite or not a number."""
    if not math.isfinite(loss):
        raise TrainingError(f"The loss is {loss}, so the run stops. {_ADVICE}")


def require_finite_weights(backbone: nn.Module) -> None:
    """Raise ``TrainingError`` if a weight of ``backbone`` is infinite or not a number."""
    for name, weight in backbone.named_parameters():
        if not weight.isfinite().all():
            raise TrainingError(f"The weights {name} are not finite and not saved. {_ADVICE}")
