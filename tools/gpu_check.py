"""Check and measure vidmoco on one GPU, in parts of which each writes a JSON file when it ends.

    python tools/gpu_check.py -o gpu/ [--frames frames/] [--videos videos/] [--images cifar10/]
        [--minutes 12] [--parts tests step vit extract cifar clips]

The parts come with the most telling first, and none begins after the minutes. What needs FRAMES
(`vidmoco prepare`, short side 256), VIDEOS or IMAGES (train and val or test, as `vidmoco evaluate`
takes them) is left out without them. A part that fails writes why, and the next begins. The run of
`cifar` in gpu/runs/ goes on where it was stopped. `tools/gpu_page.py` makes the page of the files.
"""

import argparse
import json
import platform
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch  # before decord
from bench_extract import decode_only, measured, model_only, ours
from bench_step import Row, Training, build_training, loaded, measure_in_turns, rows_in_memory
from profile_step import WHOLE, profiled, shares

from vidmoco.backbones.frozen import load_frozen
from vidmoco.config.recipe import load_recipe
from vidmoco.cores import num_cores
from vidmoco.device import resolve_device
from vidmoco.features.batch_size import default_batch_size
from vidmoco.json_lines import read_metrics
from vidmoco.video.open_catalog import open_catalog

ROOT = Path(__file__).parent.parent
_LEAST_SECONDS = 45.0  # less is not enough for any part


@dataclass(frozen=True)
class Sizes:
    """What is measured. The default is for a large card; the tests take small ones."""

    recipe: str = "vidmoco_gpu"
    batches: tuple[int, ...] = (256, 512, 1024)
    vit_recipe: str = "moco_v3_vit_small"
    vit_batches: tuple[int, ...] = (256, 512)
    size: int = 224
    canvas: tuple[int, int] = (256, 341)
    steps: int = 20
    rounds: int = 3
    backbones: tuple[str, ...] = ("resnet50", "vit_base_patch16_224")
    max_videos: int = 64
    cifar_recipe: str = "moco_cifar"
    cifar_flags: tuple[str, ...] = ()
    clips_flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """What the parts are given."""

    output: Path
    frames: Path | None
    videos: Path | None
    images: Path | None
    sizes: Sizes
    ends: float
    """When all ends, by ``time.monotonic``."""

    @property
    def seconds_left(self) -> float:
        """Seconds until the end."""
        return self.ends - time.monotonic()


Rows = list[dict[str, Any]]


def tests(check: Check) -> Rows:
    """Run tests/cuda."""
    words = [sys.executable, "-m", "pytest", "-q", str(ROOT / "tests" / "cuda"), "-rfE"]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=check.seconds_left, check=False, cwd=ROOT
    )
    lines = done.stdout.splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return [{"summary": lines[-1] if lines else done.stderr[-500:], "failed": failed}]


def steps(
    check: Check,
    recipe: str,
    batches: tuple[int, ...],
    *,
    frames: Path | None = None,
    engine: dict[str, bool] | None = None,
) -> Rows:
    """Measure a step of a recipe with each batch size, and where its time goes.

    ``engine`` holds settings of the recipe's engine that are other than there.
    """
    sizes, rows = check.sizes, []
    for batch_size in batches:
        if check.seconds_left < _LEAST_SECONDS:
            break
        config = load_recipe(recipe)
        config = replace(
            config,
            data=replace(config.data, batch_size=batch_size, short_side=sizes.canvas[0]),
            augment=replace(config.augment, size=sizes.size),
            engine=replace(config.engine, **(engine or {})),
        )
        row: dict[str, Any] = {"recipe": recipe, "batch": batch_size, **(engine or {})}
        try:
            training = build_training(config, durations=np.ones(1000), canvas=sizes.canvas)
            row |= _speeds(training, frames, sizes)
            times = profiled(training, steps=5, trace=None)
            row["profile_percent"] = {
                name: round(100 * value / times[WHOLE], 1) for name, value in shares(times).items()
            }
        except torch.OutOfMemoryError:
            row["error"] = "out of memory"
        rows.append(row)
    return rows


def compiled(check: Check) -> Rows:
    """Measure the step of the first batch size with compiled encoders, without and with graphs."""
    recipe, batches = check.sizes.recipe, check.sizes.batches[:1]
    return [
        row
        for graphs in (False, True)
        for row in steps(check, recipe, batches, engine={"compile": True, "cuda_graphs": graphs})
    ]


def _speeds(training: Training, frames: Path | None, sizes: Sizes) -> dict[str, Any]:
    """Return medians of pairs per second, the share of waiting, and peak memory."""
    threads, on_cuda = num_cores(), training.device.type == "cuda"
    rows = rows_in_memory(training, threads)
    if frames is not None:
        from_frames = partial(loaded, training, frames)
        rows.append(Row("and prepared frames", from_frames, training.step, threads))
    if on_cuda:
        torch.cuda.reset_peak_memory_stats(training.device)
    found = measure_in_turns(training, rows, steps=sizes.steps, rounds=sizes.rounds)
    result: dict[str, Any] = {
        "pairs_per_second": {row.name: round(rate, 1) for row, (rate, _) in found.items()},
        "data_wait": {row.name: round(wait, 4) for row, (_, wait) in found.items()},
    }
    if on_cuda:
        peak = torch.cuda.max_memory_allocated(training.device)
        result["peak_gib"] = round(peak / 2**30, 2)
    return result


def extract(check: Check) -> Rows:
    """Measure frames per second of an extraction, of the model alone, and of decoding alone."""
    assert check.videos is not None
    videos = list(open_catalog([check.videos]).readable().rows())[: check.sizes.max_videos]
    num_frames = sum(video.num_frames for video in videos)
    rows: Rows = []
    for name in check.sizes.backbones:
        if check.seconds_left < _LEAST_SECONDS:
            break
        frozen = load_frozen(f"random:{name}", size=check.sizes.size, precision="bf16")
        frozen.move_to(resolve_device("auto"))
        batch_size = default_batch_size(frozen)
        with TemporaryDirectory(dir=check.output) as folder:
            costs = {
                "model": measured(partial(model_only, frozen, num_frames, batch_size)),
                "decoding, one thread": measured(partial(decode_only, videos)),
                "extraction": ours(frozen, videos, batch_size, Path(folder), workers=num_cores()),
            }
        rates = {what: round(num_frames / cost.seconds, 1) for what, cost in costs.items()}
        rows.append({"backbone": name, "batch": batch_size, "frames_per_second": rates})
    return rows


def cifar(check: Check) -> Rows:
    """Train the authors' CIFAR-10 demo as long as there is time; it goes on the next time."""
    assert check.images is not None
    places = check.images / "train.parquet", check.images / "train"
    train = next(place for place in places if place.exists())
    words = [str(train), "--recipe", check.sizes.cifar_recipe, "--monitor", str(check.images)]
    words += ["--monitor.output", "projector", "--monitor.k", "200", "--monitor.tau", "0.1"]
    return _train(check, check.output / "runs" / "cifar", [*words, *check.sizes.cifar_flags])


def clips(check: Check) -> Rows:
    """Train the GPU recipe on prepared clips as long as there is time."""
    words = [str(check.frames), "--recipe", check.sizes.recipe, *check.sizes.clips_flags]
    return _train(check, check.output / "runs" / "clips", words)


def _train(check: Check, run: Path, words: list[str]) -> Rows:
    """Train until it ends or the time is over, and return the last lines of its logs."""
    if (run / "config.yaml").exists():
        words = ["--run", str(run), "--resume"]
    else:
        words = [*words, "--run", str(run)]
    process = subprocess.Popen([sys.executable, "-m", "vidmoco", "pretrain", *words])
    try:
        code = process.wait(timeout=max(check.seconds_left - 15, 1))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)  # it writes a checkpoint
        code = process.wait()
    lines, monitor = (
        read_metrics(run / name) if (run / name).exists() else []
        for name in ("metrics.jsonl", "monitor.jsonl")
    )
    last = lines[-1] if lines else {}
    kept = ("step", "epoch", "loss", "top1", "pairs_per_second", "data_wait_share")
    row = {"exit_code": code, **{key: last[key] for key in kept if key in last}}
    return [row | ({"knn_top1": monitor[-1].get("knn_top1")} if monitor else {})]


PARTS: dict[str, tuple[Callable[[Check], Rows], str | None]] = {
    "tests": (tests, None),
    "step": (lambda c: steps(c, c.sizes.recipe, c.sizes.batches, frames=c.frames), None),
    "vit": (lambda c: steps(c, c.sizes.vit_recipe, c.sizes.vit_batches), None),
    "compiled": (compiled, None),
    "extract": (extract, "videos"),
    "cifar": (cifar, "images"),
    "clips": (clips, "frames"),
}
"""Each part, and what it needs."""


def run_parts(check: Check, names: list[str]) -> list[Path]:
    """Run the parts, and return the files that they wrote."""
    check.output.mkdir(parents=True, exist_ok=True)
    written = []
    for name in names:
        work, needs = PARTS[name]
        if check.seconds_left < _LEAST_SECONDS or (needs and getattr(check, needs) is None):
            print(f"{name}: left out", file=sys.stderr)
            continue
        began = time.monotonic()
        result: dict[str, Any] = {"part": name, **_machine()}
        try:
            result["rows"] = work(check)
        except Exception:  # the other parts are worth as much
            result["error"] = traceback.format_exc(limit=-3)
        result["seconds"] = round(time.monotonic() - began, 1)
        path = check.output / f"{name}.json"
        path.write_text(json.dumps(result, indent=2) + "\n")
        written.append(path)
        print(f"{name}: {result['seconds']} s, {result.get('error', 'done')}", file=sys.stderr)
    return written


def _machine() -> dict[str, str]:
    on_cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if on_cuda else f"CPU ({platform.machine()})",
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "none",
        "cores": str(num_cores()),
    }


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    for name in ("frames", "videos", "images"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    given = parser.parse_args()
    ends = time.monotonic() + 60 * given.minutes
    check = Check(given.output, given.frames, given.videos, given.images, Sizes(), ends)
    run_parts(check, given.parts)


if __name__ == "__main__":
    main()
