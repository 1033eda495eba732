"""Extraction: videos to one feature a frame, decoded in other processes while the model works."""

import os
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

import vidmoco
from vidmoco.backbones.frozen import FrozenBackbone, features_of, load_frozen
from vidmoco.config.commands import ExtractCommand
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.console import say, say_result
from vidmoco.cores import num_cores
from vidmoco.device import keep_freed_memory, resolve_device
from vidmoco.errors import ConfigError, VideoError
from vidmoco.features.batch_reader import BatchedVideo, BatchReader
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.feature_file import (
    feature_writer,
    read_sidecar,
    require_known_suffix,
    require_own_sidecar,
)
from vidmoco.progress import ProgressBar
from vidmoco.run_folder import LATEST, make_writable_folder
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import open_catalog

DEFAULT_BACKBONE = "resnet50"


def extract_video(
    frozen: FrozenBackbone,
    video: VideoInfo,
    output: Path,
    *,
    fps: float | None = None,
    every: int = 1,
    dtype: Literal["float32", "float16"] = "float32",
    batch_size: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> int:
    """Write the features of the frames of ``video`` to ``output``, and return their number.

    Memory does not grow with the video. A process of its own decodes and resizes. For many videos
    use ``extract_videos``, which starts it once.

    Args:
        frozen: the backbone, on its device; its ``dim`` is D of the (T, D) features.
        video: a row of the catalog.
        output: a file whose suffix is `.npy` or `.parquet`.
        fps: take the frames shown at 0, 1/``fps``, 2/``fps`` … seconds, each once.
        every: take each n-th frame.
        dtype: of the features in the file.
        batch_size: frames in one pass; None: as many as fit on CUDA, 64 on a CPU.
        limits: what the video may be, and what reading it may cost.

    Raises:
        VideoError: no frame can be read, or the decoder hangs or crashes. A video damaged on the
            way gives the frames that can be; the sidecar's ``damage`` says how many are missing.
    """
    ((_, result),) = extract_videos(
        frozen,
        [(video, output)],
        fps=fps,
        every=every,
        dtype=dtype,
        batch_size=batch_size,
        limits=limits,
        workers=1,
    )
    if isinstance(result, VideoError):
        raise result
    return result


def extract_videos(
    frozen: FrozenBackbone,
    todo: Iterable[tuple[VideoInfo, Path]],
    *,
    fps: float | None = None,
    every: int = 1,
    dtype: Literal["float32", "float16"] = "float32",
    batch_size: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    workers: int | None = None,
) -> Generator[tuple[VideoInfo, int | VideoError], None, None]:
    """Extract videos in order; yield each with the number of its rows, or why there are none.

    While the backbone works on a video, the next ones are decoded.

    Args:
        frozen: as for ``extract_video``, and so are the others.
        todo: videos, and the files for their features.
        fps: see there.
        every: see there.
        dtype: see there.
        batch_size: see there.
        limits: see there.
        workers: processes that decode, a video each; None: a core in two, four at most.
    """
    todo = list(todo)
    outputs = iter([output for _, output in todo])
    settings = _settings(frozen, fps=fps, every=every, dtype=dtype)
    reader = BatchReader(
        frozen.preprocess,
        batch_size=batch_size or default_batch_size(frozen),
        limits=limits,
        workers=workers or _num_workers(),
    )
    with reader:
        videos = reader.read([video for video, _ in todo], fps=fps, every=every)
        for batched, output in zip(videos, outputs, strict=True):
            result: int | VideoError
            try:
                result = _write_features(frozen, batched, output, settings)
            except VideoError as error:
                result = error
            yield batched.video, result


def default_backbone() -> str:
    """Return the newest run of this folder, or timm's pretrained ResNet-50 if there is none."""
    return str(LATEST) if (LATEST / "backbone").is_dir() else DEFAULT_BACKBONE


def _num_workers() -> int:
    # assumption: the other half of the cores is for the backbone, and four processes feed a GPU.
    return max(1, min(4, num_cores() // 2))


def _write_features(
    frozen: FrozenBackbone, batched: BatchedVideo, output: Path, settings: dict[str, Any]
) -> int:
    video = batched.video
    with feature_writer(output, dim=frozen.dim, dtype=settings["dtype"]) as writer:
        for batch, features in features_of(frozen, batched.batches):
            writer.append(features.numpy(), batch.times)
        return writer.finish(
            {
                **settings,
                "source": str(video.path),
                "source_bytes": video.num_bytes,
                "source_mtime_ns": video.mtime_ns,
                "decoder": "pyav",
                "start_seconds": video.start_seconds,
                "damage": batched.damage,
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
        require_own_sidecar(command.output)
    catalog = open_catalog([command.video], limits=command.limits)
    if not is_folder and catalog[0].route == "refused":
        raise VideoError(f"{command.video}: {catalog[0].reason}")
    make_writable_folder(command.output if is_folder else command.output.parent, flag="-o")
    device = resolve_device(command.device)
    source = command.backbone or default_backbone()
    say(console, f"Backbone: {source}")
    frozen = load_frozen(
        source, size=command.size, crop_mode=command.crop_mode, precision=command.precision
    )
    frozen.move_to(device)
    keep_freed_memory(device)
    options: dict[str, Any] = {
        "fps": command.fps,
        "every": command.every,
        "dtype": command.dtype,
        "batch_size": command.batch_size or default_batch_size(frozen),
        "limits": command.limits,
    }
    if is_folder:
        return _extract_all(catalog, frozen, command, options, console=console)
    began = time.monotonic()
    rows = extract_video(frozen, catalog[0], command.output, **options)
    rate = rows / max(time.monotonic() - began, 1e-9)
    say_result(
        f"{command.output}: ({rows}, {frozen.dim}) {command.dtype}, {rate:.0f} frames/s",
    )
    _print_damage(command.output, console)
    return 0


def _print_damage(output: Path, console: Console) -> None:
    """Say which frames of a video have no features, as its sidecar does."""
    sidecar = read_sidecar(output)
    say(console, *(f"  {line}" for line in (sidecar["damage"] if sidecar else ())))


def _extract_all(
    catalog: Catalog,
    frozen: FrozenBackbone,
    command: ExtractCommand,
    options: dict[str, Any],
    *,
    console: Console,
) -> int:
    """Extract every video of a catalog to the same relative path; go on past those that fail."""
    settings = _settings(frozen, fps=command.fps, every=command.every, dtype=command.dtype)
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
            require_own_sidecar(output)
            todo.append((info, output))
    with (
        closing(extract_videos(frozen, todo, **options)) as results,
        ProgressBar(console, "extract", total=len(todo)) as bar,
    ):
        for info, result in bar.track(results):
            if isinstance(result, VideoError):
                failed.append((info.key, str(result)))
            else:
                num_extracted += 1
                _print_damage(command.output / (info.key + command.suffix), console)
    say_result(
        f"{command.output}: {num_extracted} extracted, {num_done} were there already, "
        f"{len(failed)} failed",
    )
    say(console, *(f"  {key!r}: {reason}" for key, reason in failed))
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


def _settings(
    frozen: FrozenBackbone, *, fps: float | None, every: int, dtype: str
) -> dict[str, Any]:
    return {
        **frozen.provenance,
        "fps": fps,
        "every": every,
        "dtype": dtype,
        "dim": frozen.dim,
    }
