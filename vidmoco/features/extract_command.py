"""``vidmoco extract``: features of one video to a file, or of many to a folder."""

import hashlib
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from vidmoco.backbones.frozen import FrozenBackbone, load_frozen
from vidmoco.config.commands import ExtractCommand
from vidmoco.console import say, say_result
from vidmoco.device import keep_freed_memory, resolve_device
from vidmoco.errors import ConfigError, VideoError
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.extract import Extraction, extract_videos, is_done, settings_of
from vidmoco.features.feature_file import read_sidecar, require_known_suffix, require_own_sidecar
from vidmoco.features.times_file import read_times
from vidmoco.frames.labels import names_of
from vidmoco.progress import ProgressBar
from vidmoco.run_folder import LATEST, make_writable_folder
from vidmoco.urls import expand_lists, is_url, url_of
from vidmoco.video.catalog import Catalog
from vidmoco.video.fetch import fetched, name_of_url
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import open_catalog

DEFAULT_BACKBONE = "resnet50"
# ".timestamps.npy" in place of the suffix, and ".1234567.part" while it is written.
_ADDED_BYTES = 32


def default_backbone() -> str:
    """Return the newest run of this folder, or timm's pretrained ResNet-50 if there is none."""
    return str(LATEST) if (LATEST / "backbone").is_dir() else DEFAULT_BACKBONE


def extract(command: ExtractCommand) -> int:
    """Run ``vidmoco extract``; return 0, or 1 if any of many videos failed."""
    console = Console(stderr=True)
    is_many = _holds_many(command)
    sources = expand_lists(command.videos)
    urls = list(dict.fromkeys(url_of(source) for source in sources if is_url(source)))
    local = [source for source in sources if not is_url(source)]
    catalog = Catalog.from_rows([])
    if local:
        catalog = open_catalog(local, workers=command.workers, limits=command.limits)
    if not is_many and len(catalog.refused()):
        raise VideoError(f"{command.videos[0]}: {catalog[0].reason}")
    todo, num_without_times = _planned(command, catalog, urls, is_many=is_many)
    make_writable_folder(command.output if is_many else command.output.parent, flag="-o")
    device = resolve_device(command.device)
    source = command.backbone or default_backbone()
    say(console, f"Backbone: {source}")
    frozen = load_frozen(
        source,
        size=command.size,
        crop_mode=command.crop_mode,
        precision=command.precision,
        feature=command.feature,
    )
    frozen.move_to(device)
    keep_freed_memory(device)
    kind: dict[str, Any] = {
        "pool": command.pool,
        "normalize": command.normalize,
        "dtype": command.dtype,
    }
    left = todo
    if is_many:
        left = [one for one in todo if command.overwrite or not _is_done(one, frozen, kind)]
    failed = {info.key: info.reason for info in catalog.refused().rows()}
    num_extracted = num_rows = 0
    began = time.monotonic()
    with (
        TemporaryDirectory(prefix="vidmoco-") as folder,
        closing(
            extract_videos(
                frozen,
                _with_files(left, command, Path(folder)),
                **kind,
                batch_size=command.batch_size or default_batch_size(frozen),
                limits=command.limits,
                workers=command.workers if is_many else 1,
            )
        ) as results,
        ProgressBar(console, "extract", total=len(left)) as bar,
    ):
        for extraction, result in bar.track(results):
            if extraction.url:
                extraction.video.path.unlink(missing_ok=True)
            if isinstance(result, VideoError):
                if not is_many:
                    raise result
                failed[extraction.name] = str(result)
                continue
            num_extracted, num_rows = num_extracted + 1, num_rows + result
            _print_damage(extraction.output, console)
    if not is_many:
        shape = ", ".join(map(str, (num_rows, *frozen.row_shape)))
        rate = f"{num_rows / max(time.monotonic() - began, 1e-9):.0f} frames/s"
        what = rate if command.pool == "none" else f"{command.pool} of frames"
        say_result(f"{command.output}: ({shape}) {command.dtype}, {what}")
        return 0
    without = f", {num_without_times} not in {command.times_file}" if num_without_times else ""
    say_result(
        f"{command.output}: {num_extracted} extracted, {len(todo) - len(left)} were there already, "
        f"{len(failed)} failed{without}",
    )
    say(console, *(f"  {name!r}: {reason}" for name, reason in failed.items()))
    return 1 if failed else 0


def _holds_many(command: ExtractCommand) -> bool:
    """Return whether the output is a folder.

    Raises:
        ConfigError: the output is not what the videos need.
    """
    video, output = command.videos[0], command.output
    is_list = str(video).startswith("@") and not video.exists()
    if len(command.videos) > 1 or is_list or video.is_dir() or video.suffix == ".parquet":
        if output.suffix:
            what = f"{video} holds" if len(command.videos) == 1 else "These are"
            raise ConfigError(
                f"{what} many videos, and -o {output} reads as one file. Give a folder."
            )
        return True
    if output.is_dir():
        name = name_of_url(url_of(video)) if is_url(video) else video.name
        raise ConfigError(
            f"-o {output} is a folder, and {video} one video. Give a file: "
            f"{output / (Path(name).name + command.suffix)}"
        )
    require_known_suffix(output)
    require_own_sidecar(output)
    return False


def _planned(
    command: ExtractCommand, catalog: Catalog, urls: Sequence[str], *, is_many: bool
) -> tuple[list[Extraction], int]:
    """Return what this process extracts, and the number of videos that --times-file leaves out.

    The video of a URL is only a name until it is fetched.
    """
    readable = catalog.readable()
    plan = [
        Extraction(video, Path(), name=name)
        for name, video in zip(
            names_of(readable) if len(readable) else (), readable.rows(), strict=True
        )
    ]
    for url in urls:
        name = name_of_url(url)
        video = VideoInfo(root="/", key=name, num_bytes=0, mtime_ns=0)
        plan.append(Extraction(video, Path(), name=name, url=url))
    names = Counter(one.name for one in plan)
    for one in plan:
        if names[one.name] > 1:
            raise ConfigError(
                f"{names[one.name]} of these videos would be written to "
                f"{command.output / (one.name + command.suffix)}. Give each its own -o."
            )
    num_all = len(plan)
    if command.times_file is not None:
        called: dict[str, list[str]] = defaultdict(list)
        refused = [Extraction(row, Path(), name=row.key) for row in catalog.refused().rows()]
        for one in plan + refused:
            for call in {one.name, one.video.key, one.source}:
                called[call].append(one.name)
        times = read_times(command.times_file, called)
        plan = [
            replace(one, selection=replace(command.frames, times=times[one.name]))
            for one in plan
            if one.name in times
        ]
    else:
        plan = [replace(one, selection=command.frames) for one in plan]
    num_without_times = num_all - len(plan)
    if not is_many:
        return [replace(one, output=command.output) for one in plan], num_without_times
    # Under torchrun each process takes its share of the videos.
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    own = []
    for one in plan[rank::world_size]:
        # The suffix of the video stays, and keeps clip.mp4 and clip.avi apart.
        output = output_of(command.output, one.name, command.suffix)
        is_cut = output != command.output / (one.name + command.suffix)
        own.append(replace(one, output=output, full_name=one.name * is_cut))
    return own, num_without_times


def output_of(folder: Path, name: str, suffix: str) -> Path:
    """Return the file for the features of a video.

    A name that leaves no room for the suffixes of this program is cut, and gets a hash of the whole
    name, which the sidecar has.
    """
    path = PurePosixPath(name)
    most = _longest_name(folder) - _ADDED_BYTES
    data = os.fsencode(path.name)
    if len(data) > most:
        kind = path.suffix if len(os.fsencode(path.suffix)) <= 8 else ""
        digest = hashlib.sha256(data).hexdigest()[:16]
        kept = data[: max(0, most - len(digest) - len(kind) - 1)].decode("utf-8", "ignore")
        path = path.with_name(f"{kept}~{digest}{kind}")
    return folder / f"{path}{suffix}"


def _longest_name(folder: Path) -> int:
    """Return how many bytes a name may have where a folder is or will be."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    try:
        return os.pathconf(there, "PC_NAME_MAX")
    except (OSError, ValueError):
        return 255


def _is_done(extraction: Extraction, frozen: FrozenBackbone, kind: dict[str, Any]) -> bool:
    """Return whether there is nothing to do; raise ``ConfigError`` if the output is in use."""
    if is_done(extraction, settings_of(frozen, extraction.selection, **kind)):
        return True
    require_own_sidecar(extraction.output)
    return False


def _with_files(
    todo: Sequence[Extraction], command: ExtractCommand, folder: Path
) -> Iterator[Extraction]:
    """Yield what is to be extracted, with its file, which is fetched if it is at a URL."""
    files = fetched(
        [one.url for one in todo if one.url],
        folder,
        most_bytes=round(command.max_download * 2**30),
        limits=command.limits,
    )
    for one in todo:
        yield replace(one, video=next(files)) if one.url else one


def _print_damage(output: Path, console: Console) -> None:
    """Say which frames of a video have no features, as its sidecar does."""
    sidecar = read_sidecar(output)
    say(console, *(f"  {line}" for line in (sidecar["damage"] if sidecar else ())))
