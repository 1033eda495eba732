"""Measure the features during a training, into ``monitor.jsonl`` and on the terminal."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vidmoco import distributed
from vidmoco.config.monitor import MonitorConfig
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.console import say
from vidmoco.data.source import PairSource
from vidmoco.errors import CheckpointError
from vidmoco.json_lines import append_line, drop_lines_after, read_metrics
from vidmoco.methods.protocol import Method
from vidmoco.train.monitor_backbone import FrozenCopy
from vidmoco.train.monitor_knn import KnnProbe
from vidmoco.train.monitor_retrieval import RetrievalProbe

_MEASUREMENTS = 10  # default number per training, besides the untrained backbone


class Monitor:
    """Measures the features of a backbone at a fixed interval; without probes it does nothing."""

    def __init__(
        self,
        config: MonitorConfig,
        frozen: FrozenCopy | None,
        probes: Sequence[Callable[[FrozenCopy], dict[str, Any]]],
        *,
        device: torch.device,
        console: Console,
    ) -> None:
        self._every_epochs, self._frozen, self._probes = config.every_epochs, frozen, probes
        self._device, self._console = device, console

    def begin(
        self,
        path: Path,
        *,
        start_step: int,
        total_steps: int,
        num_steps_per_epoch: int,
        show: Callable[[dict[str, Any]], None] = lambda line: None,
    ) -> None:
        """Begin after ``start_step`` steps and drop the later lines of ``path``.

        ``show`` takes each line that is written.
        """
        if self._frozen is None:
            return
        self._path, self._first_step, self._show = path, start_step, show
        self._total_steps, self._num_steps_per_epoch = total_steps, num_steps_per_epoch
        every = (
            total_steps / _MEASUREMENTS
            if self._every_epochs is None
            else self._every_epochs * num_steps_per_epoch
        )
        self._every = max(1, round(every))
        if distributed.is_main() and path.exists():
            drop_lines_after(path, start_step)
        done = {line["step"] for line in read_metrics(path)} if distributed.is_main() else set()
        self._done: set[int] = distributed.gather_objects(done)[0]  # only the main process reads
        self._began, self._seconds = time.monotonic(), 0.0
        say(
            self._console,
            f"Monitor: every {f'{self._every:,} steps' if self._every > 1 else 'step'} and at the "
            f"end, into {path}",
        )

    def look(self, step: int) -> float:
        """Measure the features after ``step`` steps if they are due. Return the seconds taken."""
        if self._frozen is None or step in self._done:
            return 0.0
        if step % self._every and step != self._total_steps:
            return 0.0
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # do not time the training's pending work
        began = time.monotonic()
        self._frozen.update()
        line: dict[str, Any] = {"step": step, "epoch": round(step / self._num_steps_per_epoch, 4)}
        try:
            for probe in self._probes:
                line |= probe(self._frozen)
        except CheckpointError as error:  # in all processes; the loss decides if the run goes on
            line["failure"] = str(error)
        seconds = time.monotonic() - began
        self._seconds += seconds
        self._done.add(step)
        if distributed.is_main():
            append_line(self._path, line | {"seconds": round(seconds, 3)})
            self._show(line)
            share = self._seconds / (time.monotonic() - self._began)
            total = f", {share:.0%} of the time so far" if step > self._first_step else ""
            say(self._console, f"{describe(line)} ({seconds:.1f} s{total})")
        distributed.any_of(False)  # the others wait for the main process here, and in no step
        return seconds


def describe(line: dict[str, Any]) -> str:
    """Return a short text of a line of monitor.jsonl."""
    parts = [f"step {line['step']}, epoch {line['epoch']:.4g}:"]
    if "knn_top1" in line:
        parts.append(f"k-NN {line['knn_top1']:.1f} %")
    if "retrieval" in line:
        by_distance = ", ".join(f"{s} s {value:.1f} %" for s, value in line["retrieval"].items())
        parts.append(f"same video at {by_distance}")
    if "failure" in line:
        parts.append(line["failure"])
    return "  ".join(parts)


def open_monitor(
    config: PretrainConfig,
    method: Method,
    source: PairSource,
    *,
    device: torch.device,
    console: Console,
) -> Monitor:
    """Read the images and frames that the monitor measures, and return the monitor.

    Raises:
        ConfigError: images or frames cannot be read, or take too much memory.
        DataError: the images cannot be used.
    """
    settings = config.monitor
    if settings.retrieval and not source.has_time:
        say(console, "Monitor: no retrieval of the same video, because images have only one frame.")
    retrieves = settings.retrieval and source.has_time
    if settings.images is None and not retrieves:
        return Monitor(settings, None, (), device=device, console=console)
    frozen = FrozenCopy(
        method.backbone,
        method.projector if settings.output == "projector" else None,
        size=config.augment.size,
        device=device,
        precision=settings.precision,
    )
    probes: list[Callable[[FrozenCopy], dict[str, Any]]] = []
    if settings.images is not None:
        probes.append(KnnProbe(settings, frozen.preprocess, device=device, console=console))
    if retrieves:
        probes.append(RetrievalProbe(settings, source, frozen.preprocess, console=console))
    return Monitor(settings, frozen, probes, device=device, console=console)
