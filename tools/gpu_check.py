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
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch  # before decord
from bench_extract import decode_only, model_only
from bench_step import Row, Training, build_training, loaded, measure, rows_in_memory
from profile_step import WHOLE, profiled, shares

from vidmoco.backbones.frozen import load_frozen
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe
from vidmoco.cores import num_cores
from vidmoco.device import resolve_device
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.extract import extract_videos
from vidmoco.features.extraction import Extraction
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


def step(check: Check) -> Rows:
    """Measure a step of the GPU recipe, and where its time goes."""
    sizes = check.sizes
    return list(_steps(check, sizes.recipe, sizes.batches, frames=check.frames))


def vit(check: Check) -> Rows:
    """Measure a step of MoCo v3's ViT."""
    sizes = check.sizes
    return list(_steps(check, sizes.vit_recipe, sizes.vit_batches, frames=None))


def _steps(
    check: Check, recipe: str, batches: tuple[int, ...], *, frames: Path | None
) -> Iterator[dict[str, Any]]:
    """Yield a row for each batch size: pairs per second with one part after the other."""
    for batch_size in batches:
        if check.seconds_left < _LEAST_SECONDS:
            return
        config = _of_size(load_recipe(recipe), check.sizes, batch_size)
        row: dict[str, Any] = {"recipe": recipe, "batch": batch_size}
        try:
            training = build_training(config, durations=np.ones(1000), canvas=check.sizes.canvas)
            row |= _speeds(training, frames, check.sizes)
            times = profiled(training, steps=5, trace=None)
            row["profile_percent"] = {
                name: round(100 * value / times[WHOLE], 1) for name, value in shares(times).items()
            }
        except torch.OutOfMemoryError:
            row["error"] = "out of memory"
        yield row


def _of_size(config: PretrainConfig, sizes: Sizes, batch_size: int) -> PretrainConfig:
    return replace(
        config,
        data=replace(config.data, batch_size=batch_size, short_side=sizes.canvas[0]),
        augment=replace(config.augment, size=sizes.size),
    )


def _speeds(training: Training, frames: Path | None, sizes: Sizes) -> dict[str, Any]:
    """Return medians of pairs per second, the share of waiting, and peak memory."""
    device, threads = training.device, num_cores()
    rows = rows_in_memory(training, threads)
    if frames is not None:
        from_frames = partial(loaded, training, frames)
        rows.append(Row("and prepared frames", from_frames, training.step, threads))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    size = training.config.data.batch_size
    found: dict[str, list[tuple[float, float]]] = {row.name: [] for row in rows}
    for _ in range(sizes.rounds):
        for row in rows:
            found[row.name].append(measure(row, device, size, sizes.steps))
    result: dict[str, Any] = {
        "pairs_per_second": {name: round(median(v[0] for v in f), 1) for name, f in found.items()},
        "data_wait": {name: round(median(v[1] for v in f), 4) for name, f in found.items()},
    }
    if device.type == "cuda":
        result["peak_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
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
        folder = check.output / "features"
        seconds = {
            "model": _timed(model_only, frozen, num_frames, batch_size),
            "decoding, one thread": _timed(decode_only, videos),
            "extraction": _timed(_extract, frozen, videos, batch_size, folder),
        }
        rates = {what: round(num_frames / value, 1) for what, value in seconds.items()}
        rows.append({"backbone": name, "batch": batch_size, "frames_per_second": rates})
    return rows


def _extract(frozen: Any, videos: list[Any], batch_size: int, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    jobs = [Extraction(video, folder / f"{n}.npy") for n, video in enumerate(videos)]
    for _ in extract_videos(frozen, jobs, batch_size=batch_size, workers=num_cores()):
        pass
    shutil.rmtree(folder)


def _timed(work: Callable[..., None], *given: Any) -> float:
    began = time.monotonic()
    work(*given)
    return time.monotonic() - began


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
    "step": (step, None),
    "vit": (vit, None),
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
    check = Check(
        output=given.output,
        frames=given.frames,
        videos=given.videos,
        images=given.images,
        sizes=Sizes(),
        ends=time.monotonic() + 60 * given.minutes,
    )
    run_parts(check, given.parts)


if __name__ == "__main__":
    main()
