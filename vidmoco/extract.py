"""Extraction: a video to one feature a frame, decoded in another process while the model works."""

import os
import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from einops import rearrange
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

import vidmoco
from vidmoco.backbones import architecture_of, load_backbone, weights_hash
from vidmoco.config import ExtractCommand
from vidmoco.device import autocast, resolve_device
from vidmoco.errors import ConfigError, VideoError
from vidmoco.feature_file import FeatureWriter, read_sidecar, require_known_suffix
from vidmoco.preprocess import Preprocess, feature_dim, normalize, preprocess_of, resize_and_crop
from vidmoco.run_folder import LATEST, make_writable_folder
from vidmoco.video.catalog import Catalog, VideoInfo, build_limits, open_catalog
from vidmoco.video.sequential import SequentialReader

DEFAULT_BACKBONE = "resnet50"
BATCHES_AHEAD = 2  # decoded while the model works on one; bounds memory

T = TypeVar("T")
TimedFrame = tuple[float, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A frozen backbone, with all that decides its features."""

    backbone: nn.Module
    preprocess: Preprocess
    dim: int
    device: torch.device
    precision: Literal["bf16", "fp32"]
    provenance: dict[str, Any]


def build_extractor(
    source: str,
    *,
    size: int | None = None,
    device: str = "auto",
    precision: Literal["bf16", "fp32"] = "fp32",
) -> Extractor:
    """Load the backbone ``source`` (``load_backbone``) onto a device for extraction."""
    where = resolve_device(device)
    backbone = load_backbone(source)
    preprocess = preprocess_of(backbone, size=size)
    dim = feature_dim(backbone, preprocess, name=source)
    provenance = {
        "backbone": source,
        "architecture": architecture_of(source),
        "weights_hash": weights_hash(backbone),
        "preprocess": asdict(preprocess)
        | {"mean": list(preprocess.mean), "std": list(preprocess.std)},
        "precision": precision,
    }
    backbone = backbone.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Extractor(
        backbone=backbone,
        preprocess=preprocess,
        dim=dim,
        device=where,
        precision=precision,
        provenance=provenance,
    )


def extract_video(
    extractor: Extractor,
    video: VideoInfo,
    output: Path,
    *,
    fps: float | None = None,
    every: int = 1,
    dtype: Literal["float32", "float16"] = "float32",
    batch_size: int = 64,
    reader: SequentialReader | None = None,
) -> int:
    """Write the features of the frames of ``video`` to ``output``, and return their number.

    Memory does not grow with the video. ``fps`` takes the frames shown at 0, 1/fps, 2/fps …
    seconds, each once; ``every`` each n-th frame. A process of its own decodes: that of ``reader``,
    or else one for this call.

    Raises:
        VideoError: no frame can be read, or the decoder hangs or crashes. A video damaged on the
            way gives the frames that can be; the sidecar's ``damage`` says how many are missing.
    """
    if reader is None:
        with SequentialReader() as reader:
            return extract_video(
                extractor,
                video,
                output,
                fps=fps,
                every=every,
                dtype=dtype,
                batch_size=batch_size,
                reader=reader,
            )
    damage: list[str] = []
    frames = reader.frames(video, fps=fps, every=every, on_damage=damage.append)
    decoded = _decoded_batches(frames, video, extractor.preprocess, batch_size)
    with FeatureWriter(output, dim=extractor.dim, dtype=dtype) as writer:
        with closing(_ahead(decoded, size=BATCHES_AHEAD)) as batches:
            for times, images in batches:
                writer.append(_features(extractor, images), times)
        return writer.finish(
            {
                **_settings(extractor, fps=fps, every=every, dtype=dtype),
                "source": str(video.path),
                "source_bytes": video.num_bytes,
                "source_mtime_ns": video.mtime_ns,
                "decoder": "pyav",
                "start_seconds": video.start_seconds,
                "damage": damage,
                "vidmoco_version": vidmoco.__version__,
            }
        )


def extract(command: ExtractCommand) -> int:
    """Run ``vidmoco extract``; return 0, or 1 if any video of a folder failed."""
    console = Console(stderr=True)
    is_folder = command.video.is_dir() or command.video.suffix == ".parquet"
    if is_folder and command.output.suffix:
        raise ConfigError(
            f"{command.video} holds many videos, and -o {command.output} reads as one file. Give "
            "a folder."
        )
    if not is_folder:
        if command.output.is_dir():
            raise ConfigError(
                f"-o {command.output} is a folder, and {command.video} one video. Give a file: "
                f"{command.output / (command.video.name + command.suffix)}"
            )
        require_known_suffix(command.output)
    catalog = open_catalog([command.video], limits=command.limits)
    if not is_folder and catalog[0].route == "refused":
        raise VideoError(f"{command.video}: {catalog[0].reason}")
    make_writable_folder(command.output if is_folder else command.output.parent, flag="-o")
    source = command.backbone or default_backbone()
    console.print(f"Backbone: {source}", markup=False, soft_wrap=True)
    extractor = build_extractor(
        source, size=command.size, device=command.device, precision=command.precision
    )
    options: dict[str, Any] = {
        "fps": command.fps,
        "every": command.every,
        "dtype": command.dtype,
        "batch_size": command.batch_size,
    }
    with SequentialReader(build_limits(command.limits)) as reader:
        options["reader"] = reader
        if is_folder:
            return _extract_all(catalog, extractor, command, options, console=console)
        began = time.monotonic()
        rows = extract_video(extractor, catalog[0], command.output, **options)
    rate = rows / max(time.monotonic() - began, 1e-9)
    print(f"{command.output}: ({rows}, {extractor.dim}) {command.dtype}, {rate:.0f} frames/s")
    return 0


def default_backbone() -> str:
    """Return the newest run of this folder, or timm's pretrained ResNet-50 where there is none."""
    return str(LATEST) if (LATEST / "backbone").is_dir() else DEFAULT_BACKBONE


def _extract_all(
    catalog: Catalog,
    extractor: Extractor,
    command: ExtractCommand,
    options: dict[str, Any],
    *,
    console: Console,
) -> int:
    """Extract every video of a catalog to the same relative path; go on past those that fail."""
    settings = _settings(extractor, fps=command.fps, every=command.every, dtype=command.dtype)
    failed = [(info.key, info.reason) for info in catalog.refused().rows()]
    todo: list[tuple[VideoInfo, Path]] = []
    num_extracted = num_done = 0
    # Under torchrun each process takes its share of the videos.
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    for info in list(catalog.readable().rows())[rank::world_size]:
        output = command.output / (info.key + command.suffix)  # keeps clip.mp4 and clip.avi apart
        if not command.overwrite and _is_done(output, info, settings):
            num_done += 1
        else:
            todo.append((info, output))
    columns = (
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        BarColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for info, output in progress.track(todo, description="extract"):
            try:
                extract_video(extractor, info, output, **options)
                num_extracted += 1
            except VideoError as error:
                failed.append((info.key, str(error)))
    print(
        f"{command.output}: {num_extracted} extracted, {num_done} were there already, "
        f"{len(failed)} failed"
    )
    for key, reason in failed:
        console.print(f"  {key!r}: {reason}", markup=False, soft_wrap=True)
    return 1 if failed else 0


def _is_done(output: Path, info: VideoInfo, settings: dict[str, Any]) -> bool:
    """Return whether ``output`` is finished for this video as it is now.

    Raises:
        ConfigError: it was made with other settings.
    """
    sidecar = read_sidecar(output)
    if sidecar is None:
        return False
    changed = [key for key in _DECISIVE if sidecar.get(key) != settings[key]]
    if changed:
        raise ConfigError(
            f"{output} was made with another {', '.join(changed)}. Give another -o, or --overwrite."
        )
    return (sidecar.get("source_bytes"), sidecar.get("source_mtime_ns")) == (
        info.num_bytes,
        info.mtime_ns,
    )


_DECISIVE = ("weights_hash", "preprocess", "precision", "fps", "every", "dtype")


def _settings(extractor: Extractor, *, fps: float | None, every: int, dtype: str) -> dict[str, Any]:
    return {
        **extractor.provenance,
        "fps": fps,
        "every": every,
        "dtype": dtype,
        "dim": extractor.dim,
    }


@torch.inference_mode()
def _features(extractor: Extractor, images: Tensor) -> np.ndarray:
    images = images.to(extractor.device, non_blocking=True)
    inputs = normalize(images, extractor.preprocess).contiguous(memory_format=torch.channels_last)
    with autocast(extractor.device, extractor.precision):
        features = extractor.backbone(inputs)
    return features.float().cpu().numpy()  # type: ignore[no-any-return]


def _decoded_batches(
    frames: Iterable[TimedFrame], video: VideoInfo, preprocess: Preprocess, batch_size: int
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield pts (t,) and frames (t, 3, S, S) in uint8, resized and cropped."""
    aspect_ratio = video.aspect_ratio if video.sample_aspect_ratio != 1 else None
    times: list[float] = []
    images: list[Tensor] = []
    for pts, frame in frames:
        image = rearrange(torch.from_numpy(frame), "h w c -> c h w")
        times.append(pts)
        images.append(resize_and_crop(image, preprocess, aspect_ratio=aspect_ratio))
        if len(images) == batch_size:
            yield np.array(times), torch.stack(images)
            times, images = [], []
    if images:
        yield np.array(times), torch.stack(images)


def _ahead(items: Iterator[T], *, size: int) -> Generator[T, None, None]:
    """Yield ``items``, which a thread makes while the caller works; at most ``size`` wait."""
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=size)
    abandoned = threading.Event()

    def put(kind: str, item: Any) -> None:
        while not abandoned.is_set():
            try:
                return ready.put((kind, item), timeout=0.1)
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put("item", item)
                if abandoned.is_set():
                    return
            put("end", None)
        except BaseException as error:  # handed to the caller, who raises it
            put("error", error)

    thread = threading.Thread(target=make, name="decode", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = ready.get()
            if kind == "error":
                raise item
            if kind == "end":
                return
            yield item
    finally:
        abandoned.set()
        thread.join(timeout=1)  # if it waits for a decoder, that ends with its process
