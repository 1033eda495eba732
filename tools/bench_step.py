"""Where the time of a training step goes, on a CPU or a GPU; a table in Markdown.

    python tools/bench_step.py VIDEOS [FRAMES] [--recipe tiny_cpu] [--steps 20] [--rounds 5]

Each row adds a part to the one before: forward and backward of the query encoder on a resident
tensor; the whole method (key encoder, momentum update, queue); the views, from resident uint8
pairs; the loaders, of prepared FRAMES and of VIDEOS. The last row is the usual way: decord opened
for each item of a DataLoader, torchvision's transforms sample by sample, and the same step. Rows
take turns, and a number is the median of the rounds. "Wait": the share of the time in which the
step waits for its views.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch  # before decord
from bench_augment import torchvision_view
from bench_loader import NaivePairs
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vidmoco.augment import build_augment
from vidmoco.config import PretrainConfig
from vidmoco.device import autocast, resolve_device, use_threads
from vidmoco.optim import build_sgd
from vidmoco.pairs import open_source
from vidmoco.pretrain import _augmented_views, _build_method, _train_step
from vidmoco.recipe import load_recipe
from vidmoco.video.batches import PairBatch
from vidmoco.video.catalog import open_catalog
from vidmoco.video.loader import canvas_size


@dataclass
class Row:
    """A source of views and what is done with them."""

    views: Callable[[], Iterator[tuple[list[Tensor], Tensor]]]
    """Returns an endless iterator of (views, source ids)."""
    step: Callable[[list[Tensor], Tensor], None]


class NaiveViews(Dataset[Any]):
    """Two views of random frames of a video, as one writes it with decord and torchvision."""

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
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args()
    config = load_recipe(given.recipe)
    assert isinstance(config, PretrainConfig)
    device = resolve_device(config.engine.device)
    use_threads(device, given.threads or config.engine.threads)
    rows = build_rows(config, device, given.videos, given.frames)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for _ in range(given.rounds):
        for name, row in rows.items():
            found[name].append(measure(row, device, config.data.batch_size, given.steps))
    base = median(rate for rate, _ in found["the method's step, resident views"])
    print(
        f"{given.recipe} on {device}, {torch.get_num_threads()} threads, {config.data.batch_size}"
    )
    print("| | pairs/s | of the step | wait |")
    print("|---|---|---|---|")
    for name, values in found.items():
        rate, wait = (median(value[n] for value in values) for n in range(2))
        print(f"| {name} | {rate:.0f} | {rate / base:.2f} | {100 * wait:.0f} % |")


def build_rows(
    config: PretrainConfig, device: torch.device, videos: Path, frames: Path | None
) -> dict[str, Row]:
    """Return what is measured, by name."""
    method = _build_method(config).to(device)
    optimizer = build_sgd(method.parameters(), momentum=0.9, weight_decay=1e-4)
    augment, generator = build_augment(config.augment), torch.Generator()
    size, batch_size = config.augment.size, config.data.batch_size
    catalog = open_catalog([videos]).readable()
    canvas = canvas_size(catalog.aspect_ratios(), short_side=config.data.short_side)
    pairs = torch.randint(0, 256, (batch_size, 2, 3, *canvas), dtype=torch.uint8)
    resident = PairBatch(
        pairs.to(device),
        torch.full((batch_size,), canvas[1] / canvas[0]),
        torch.arange(batch_size),
        torch.zeros(batch_size, 2, dtype=torch.float64),
        [],
    )
    views = _augmented_views(resident, augment, generator, config, device)

    def whole_step(views: list[Tensor], source_ids: Tensor) -> None:
        _train_step(
            method,
            optimizer,
            views,
            source_ids=source_ids.to(device, non_blocking=True),
            progress=0.0,
            num_parts=config.optim.accumulate,
            cast=autocast(device, config.engine.precision),
        )

    def bare_step(views: list[Tensor], source_ids: Tensor) -> None:
        with autocast(device, config.engine.precision):
            loss = method.encoder_q(views[0]).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def augmented(batches: Iterator[PairBatch]) -> Iterator[tuple[list[Tensor], Tensor]]:
        for batch in batches:
            yield _augmented_views(batch, augment, generator, config, device), batch.source_ids

    def same(item: Any) -> Iterator[Any]:
        while True:
            yield item

    def loaded(source: Path) -> Iterator[tuple[list[Tensor], Tensor]]:
        opened = open_source(replace(config, videos=(source,)), resume=None, console=Console())
        return augmented(opened.batches(opened.batching(), range(10**9)))

    def naive() -> Iterator[tuple[list[Tensor], Tensor]]:
        paths = [str(info.path) for info in catalog.rows() if info.route == "decord"]
        loader = DataLoader(
            NaiveViews(NaivePairs(paths, canvas), config),
            batch_size=batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=2,
            persistent_workers=True,
            multiprocessing_context="spawn",
        )
        while True:
            for first, second, index in loader:
                yield [first.to(device), second.to(device)], index

    ids = resident.source_ids
    rows = {
        "forward and backward of one encoder": Row(lambda: same((views, ids)), bare_step),
        "the method's step, resident views": Row(lambda: same((views, ids)), whole_step),
        "and the views, of resident pairs": Row(lambda: augmented(same(resident)), whole_step),
    }
    if frames is not None:
        rows["and the loader, of prepared frames"] = Row(lambda: loaded(frames), whole_step)
    rows["and the loader, of videos"] = Row(lambda: loaded(videos), whole_step)
    rows["the usual way, of videos"] = Row(naive, whole_step)
    assert views[0].shape == (batch_size, 3, size, size)
    return rows


def measure(row: Row, device: torch.device, batch_size: int, steps: int) -> tuple[float, float]:
    """Return pairs per second, and the share of the time in which the step waits for views."""
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
