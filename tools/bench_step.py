"""Time the parts of a training step on a CPU or a GPU; prints a Markdown table.

    python tools/bench_step.py VIDEOS [FRAMES] [--recipe tiny_cpu] [--steps 20] [--rounds 5]

Each row adds a part to the previous one: forward and backward of the query encoder on a tensor in
memory; the whole method (key encoder, momentum update, queue); the views, from uint8 pairs in
memory; the loaders, of prepared FRAMES and of VIDEOS. The last row is the usual way: decord opened
for each item of a DataLoader, torchvision's transforms per sample, and the same step. Rows take
turns, and numbers are medians of the rounds. "Wait" is the share of the time that the step waits
for its views. "Threads" are those of the training: the loaders have as many as in `pretrain`, the
usual way has torch's default.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch  # before decord
from bench_augment import torchvision_view
from bench_loader import NaivePairs
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vidmoco.augment.views import Augment, build_augment
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe
from vidmoco.cores import num_cores
from vidmoco.data.batches import PairBatch
from vidmoco.data.loader import canvas_size
from vidmoco.data.source import open_source
from vidmoco.device import autocast, keep_freed_memory, resolve_device
from vidmoco.methods.build import compile_encoders
from vidmoco.optim.optimizers import build_optimizer, set_learning_rate
from vidmoco.shapes import Float64
from vidmoco.train.build import assemble_method
from vidmoco.train.step import augmented_views, train_step
from vidmoco.video.catalog import Catalog
from vidmoco.video.open_catalog import open_catalog

BARE, STEP = "one encoder", "the method's step"


@dataclass(frozen=True)
class Row:
    """A source of views and what is done with them."""

    name: str
    views: Callable[[], Iterator[tuple[list[Tensor], Tensor]]]
    """Returns an endless iterator of (views, source ids)."""
    step: Callable[[list[Tensor], Tensor], None]
    threads: int


class NaiveViews(Dataset[Any]):
    """Two views of random frames of a video, by decord and torchvision."""

    def __init__(self, frames: NaivePairs, config: PretrainConfig) -> None:
        self.frames, self.view = frames, torchvision_view(config.augment)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        """Return two views (3, S, S) and the number of the video."""
        first, second = self.frames[index]
        return self.view(first), self.view(second), index


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("frames", type=Path, nargs="?")
    parser.add_argument("--recipe", default="tiny_cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    config = load_recipe(given.recipe)
    assert isinstance(config, PretrainConfig)
    catalog = open_catalog([given.videos]).readable()
    training = training_on(config, catalog)
    rows = build_rows(training, catalog, given.videos, given.frames)
    found = measure_in_turns(training, rows, steps=given.steps, rounds=given.rounds)
    steps = {row.threads: rate for row, (rate, _) in found.items() if row.name == STEP}
    print(f"{given.recipe} on {training.device}, batches of {config.data.batch_size}")
    print("| | threads | pairs/s | of the step | wait |")
    print("|---|---|---|---|---|")
    for row, (rate, wait) in found.items():
        share = rate / steps[row.threads]
        print(f"| {row.name} | {row.threads} | {rate:.0f} | {share:.2f} | {100 * wait:.0f} % |")


@dataclass(frozen=True)
class Training:
    """All that a step needs on the device, with a batch in memory."""

    config: PretrainConfig
    device: torch.device
    method: torch.nn.Module
    optimizer: torch.optim.Optimizer
    augment: Augment
    generator: torch.Generator
    resident: PairBatch

    @property
    def encoder(self) -> Any:
        """The encoder that is trained by gradients."""
        return getattr(self.method, "encoder_q", None) or self.method.encoder

    def views(self, batch: PairBatch) -> list[Tensor]:
        """Return the views of a batch."""
        return augmented_views(batch, self.augment, self.generator, self.config, self.device)

    def step(self, views: list[Tensor], source_ids: Tensor) -> None:
        """Take a step of the method."""
        train_step(
            self.method,
            self.optimizer,
            views,
            source_ids=source_ids.to(self.device, non_blocking=True),
            times=self.resident.pts_seconds.to(self.device, non_blocking=True),
            progress=0.0,
            num_parts=self.config.optim.accumulate,
            clip_gradient=self.config.optim.clip_gradient,
            cast=autocast(self.device, self.config.engine.precision),
        )

    def bare_step(self, views: list[Tensor], source_ids: Tensor) -> None:
        """Train only the encoder, with an arbitrary loss."""
        with autocast(self.device, self.config.engine.precision):
            loss = self.encoder(views[0]).float().square().mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def training_on(config: PretrainConfig, catalog: Catalog) -> Training:
    """Return a training whose batch has the canvas of the videos."""
    canvas = canvas_size(catalog.aspect_ratios(), short_side=config.data.short_side)
    return build_training(config, durations=catalog.column("duration_seconds"), canvas=canvas)


def build_training(
    config: PretrainConfig, *, durations: Float64[np.ndarray, " videos"], canvas: tuple[int, int]
) -> Training:
    """Return the training of ``pretrain``, with a batch of random pixels (height, width)."""
    device = resolve_device(config.engine.device)
    method = assemble_method(config, device=device, durations=durations).to(device)
    if config.engine.compile:
        compile_encoders(method, cuda_graphs=config.engine.cuda_graphs)
    optimizer = build_optimizer(method.named_parameters(), config.optim)
    set_learning_rate(optimizer, 1e-6)
    keep_freed_memory(device)  # as `pretrain` does
    batch_size = config.data.batch_size
    pairs = torch.randint(0, 256, (batch_size, 2, 3, *canvas), dtype=torch.uint8)
    resident = PairBatch(
        pairs.to(device),
        torch.full((batch_size,), canvas[1] / canvas[0]),
        torch.arange(batch_size),
        torch.arange(batch_size),
        torch.zeros(batch_size, dtype=torch.float64),
        torch.zeros(batch_size, 2, dtype=torch.float64),
        [],
    )
    return Training(
        config=config,
        device=device,
        method=method,
        optimizer=optimizer,
        augment=build_augment(config.augment),
        generator=torch.Generator(),
        resident=resident,
    )


def rows_in_memory(training: Training, threads: int) -> list[Row]:
    """Return the rows on a batch in memory: one encoder, the method, and with the views."""
    resident, views = training.resident, training.views(training.resident)

    def same() -> Iterator[tuple[list[Tensor], Tensor]]:
        while True:
            yield views, resident.source_ids

    def fresh() -> Iterator[tuple[list[Tensor], Tensor]]:
        while True:
            yield training.views(resident), resident.source_ids

    return [
        Row(BARE, same, training.bare_step, threads),
        Row(STEP, same, training.step, threads),
        Row("and the views", fresh, training.step, threads),
    ]


def loaded(training: Training, source: Path) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Yield the views of videos or prepared frames, as they are loaded in a training."""
    config, on_cuda = replace(training.config, videos=(source,)), training.device.type == "cuda"
    opened = open_source(config, resume=None, console=Console(stderr=True))
    for batch in opened.batches(opened.batching(), range(10**9), pin_memory=on_cuda):
        yield training.views(batch), batch.source_ids


def build_rows(
    training: Training, catalog: Catalog, videos: Path, frames: Path | None
) -> list[Row]:
    """Return the rows of the table."""
    config, device, resident = training.config, training.device, training.resident

    def naive() -> Iterator[tuple[list[Tensor], Tensor]]:
        paths = [str(info.path) for info in catalog.rows() if info.route == "decord"]
        canvas: tuple[int, int] = tuple(resident.frames.shape[-2:])  # type: ignore[assignment]
        loader = DataLoader(
            NaiveViews(NaivePairs(paths, canvas), config),
            batch_size=config.data.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=2,
            persistent_workers=True,
            multiprocessing_context="spawn",
        )
        while True:
            for first, second, index in loader:
                yield [first.to(device), second.to(device)], index

    every, half = num_cores(), max(1, num_cores() // 2)
    rows = []
    for threads in (half, every) if half < every and device.type == "cpu" else (every,):
        rows += rows_in_memory(training, threads)
    if frames is not None:
        rows.append(
            Row("and prepared frames", lambda: loaded(training, frames), training.step, every)
        )
    rows.append(Row("and videos", lambda: loaded(training, videos), training.step, rows[0].threads))
    rows.append(Row("videos, the usual way", naive, training.step, every))
    return rows


def measure_in_turns(
    training: Training, rows: list[Row], *, steps: int, rounds: int
) -> dict[Row, tuple[float, float]]:
    """Return the median of pairs per second and of the share of waiting of each row."""
    batch_size = training.config.data.batch_size
    found = [
        [measure(row, training.device, batch_size, steps) for row in rows] for _ in range(rounds)
    ]
    return {
        row: (median(rate for rate, _ in values), median(wait for _, wait in values))
        for row, *values in zip(rows, *found, strict=True)
    }


def measure(row: Row, device: torch.device, batch_size: int, steps: int) -> tuple[float, float]:
    """Return pairs per second, and the share of the time that the step waits for views."""
    torch.set_num_threads(row.threads)
    stream = row.views()
    for _ in range(4):
        row.step(*next(stream))
    _wait_for(device)
    began, waited = time.monotonic(), 0.0
    for _ in range(steps):
        asked = time.monotonic()
        views, source_ids = next(stream)
        waited += time.monotonic() - asked
        row.step(views, source_ids)
    _wait_for(device)
    seconds = time.monotonic() - began
    close = getattr(stream, "close", None)
    if close is not None:
        close()
    return batch_size * steps / seconds, waited / seconds


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
