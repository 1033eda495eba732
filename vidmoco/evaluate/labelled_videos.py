"""Make an image set from frames of labelled videos, split by group.

Labels come from a CSV with a row per video, or from folders: videos/CLASS/x.mp4, which is split
here, or videos/train/CLASS/x.mp4 and videos/val/CLASS/y.mp4, which is split already.

The set is train.parquet and val.parquet with the columns `image` (bytes of a JPEG), `label`,
`video`, `pts_seconds` and `group`. All frames of a group go to one of the two files.
"""

import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from rich.console import Console

from vidmoco.atomic_file import atomic_write, writing
from vidmoco.cache_folder import cache_folder
from vidmoco.config.evaluation import LabelledVideosConfig
from vidmoco.errors import DataError
from vidmoco.evaluate.clip_videos import require_no_copies, with_copies_together, with_keys
from vidmoco.evaluate.labelled_clips import (
    SPLITS,
    Clip,
    choose_frames,
    clips_of_folders,
    drop_small_classes,
    given_splits,
    read_manifest,
    val_groups,
)
from vidmoco.json_text import read_json
from vidmoco.progress import ProgressBar
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.requests import Request, read_requests

FORMAT = 3  # of the cached frames; frames of another format are made again
ROWS_PER_GROUP = 500  # about 15 MB of small JPEGs; a reader holds one group in memory
SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("label", pa.string()),
        ("video", pa.string()),
        ("pts_seconds", pa.float64()),
        ("group", pa.string()),
    ]
)


@dataclass(frozen=True)
class FrameSet:
    """The image set made from labelled videos."""

    folder: Path
    """The folder of train.parquet and val.parquet."""
    clips: list[Clip]
    """The videos whose frames were taken."""
    val_groups: set[str]
    num_frames: dict[str, dict[str, int]]
    """Number of frames by split and class."""
    left_out: list[str]
    """A line for each class and each video that was left out, and why."""


def cached_frames(
    videos: Path,
    config: LabelledVideosConfig,
    *,
    val_share: float,
    seed: int,
    console: Console,
    fresh: bool = False,
) -> tuple[Path, list[str]]:
    """Return the folder of the frames in the user's cache, and what was left out and why.

    The videos are read once, or again if ``fresh``.

    Raises:
        ConfigError: the cache cannot be written, or see ``make_frames``.
        DataError: see ``make_frames``.
    """
    catalog = {
        video.key: video for video in open_catalog([videos], progress=not console.quiet).rows()
    }
    settings = [FORMAT, asdict(config) | {"labels": None}, val_share, seed]
    digest = hashlib.sha256(json.dumps(settings, default=str).encode())
    if config.labels is not None and config.labels.is_file():
        digest.update(config.labels.read_bytes())
    for video in catalog.values():
        digest.update(f"{video.key} {video.content}\n".encode(errors="replace"))
    folder = cache_folder() / "labelled_frames" / digest.hexdigest()[:24]
    about = folder / "left_out.json"  # written last, so it marks a complete folder
    with writing(folder, advice=", or name another folder by VIDMOCO_CACHE."):
        if fresh or not about.exists():
            folder.mkdir(parents=True, exist_ok=True)
            made = make_frames(
                videos, config, folder, val_share=val_share, seed=seed, console=console
            )
            with atomic_write(about) as part:
                part.write_text(json.dumps(made.left_out), encoding="utf-8")
        left_out: list[str] = read_json(about)
    return folder, left_out


def make_frames(
    videos: Path,
    config: LabelledVideosConfig,
    folder: Path,
    *,
    val_share: float,
    seed: int,
    console: Console,
) -> FrameSet:
    """Write the frames of labelled videos to an existing ``folder``.

    Args:
        videos: Folder of videos.
        config: Where the labels are, and which frames are taken.
        folder: Gets train.parquet and val.parquet.
        val_share: Share of the groups of a class that is drawn for val.
        seed: Of the split and of the choice of frames.
        console: Shows progress.

    Raises:
        ConfigError: the CSV or one of its columns is missing.
        DataError: there is nothing to learn from: no labelled video, fewer than two classes, or a
            class that is missing in one split.
    """
    catalog = {
        video.key: video for video in open_catalog([videos], progress=not console.quiet).rows()
    }
    unlabelled: list[str] = []
    if config.labels is not None:
        clips, unlabelled = read_manifest(
            config.labels,
            path=config.path_column,
            label=config.label_column,
            group=config.group_column,
            split=config.split_column,
            where=config.where,
        )
    else:
        clips = clips_of_folders(list(catalog), folder=videos)
    clips, missing = with_keys(clips, catalog)
    for path, count in Counter(clip.path for clip in clips).most_common(1):
        if count > 1:
            raise DataError(f"{config.labels} lists {path!r} {count} times, in several forms.")
    unknown = [clip for clip in clips if clip.path not in catalog]
    if len(unknown) == len(clips):
        raise DataError(
            f"No video of {config.labels} is in {videos}. The column {config.path_column!r} has "
            f"paths such as {clips[0].path!r} ({missing[clips[0].path]}); expected paths below "
            "that folder."
        )
    left_out = [f"{name}: no label in the column {config.label_column!r}" for name in unlabelled]
    left_out += [f"{clip.path or 'a row without a path'}: {missing[clip.path]}" for clip in unknown]
    known = [clip for clip in clips if clip.path in catalog]
    clips = [clip for clip in known if catalog[clip.path].route != "refused"]
    left_out += [
        f"{clip.path}: {catalog[clip.path].reason}"
        for clip in known
        if catalog[clip.path].route == "refused"
    ]
    if splits := given_splits(clips):
        require_no_copies(clips, splits, catalog)
    else:
        clips = with_copies_together(clips, catalog)
    clips, dropped = drop_small_classes(
        clips, min_videos=config.min_videos, min_groups=config.min_groups
    )
    left_out += dropped
    if not splits:
        in_val = val_groups(clips, share=val_share, seed=seed)
        splits = {clip.group: SPLITS[clip.group in in_val] for clip in clips}
    classes = sorted({clip.label for clip in clips})
    found = {name: {splits[clip.group] for clip in clips if clip.label == name} for name in classes}
    one_sided = [f"{name} is only in {min(s)}" for name, s in found.items() if len(s) == 1]
    if one_sided:
        raise DataError(f"Every class needs videos in train and val: {'; '.join(one_sided[:8])}.")
    num_frames = {}
    for split in SPLITS:
        chosen = choose_frames(
            [clip for clip in clips if splits[clip.group] == split],
            per_video=config.frames_per_video,
            per_class=config.frames_per_class,
            seed=seed,
        )
        num_frames[split], bad = _write_part(
            folder / f"{split}.parquet",
            chosen,
            catalog=catalog,
            per_video=config.frames_per_video,
            classes=classes,
            console=console,
        )
        left_out += bad
    empty = [name for name in classes if not all(num_frames[split].get(name) for split in SPLITS)]
    if empty:
        raise DataError(
            f"Train or val has no frame of {', '.join(empty)}: every class needs readable videos "
            "of two groups."
        )
    in_val = {clip.group for clip in clips if splits[clip.group] == "val"}
    return FrameSet(folder, clips, in_val, num_frames, left_out)


def _write_part(
    path: Path,
    chosen: dict[Clip, list[int]],
    *,
    catalog: dict[str, VideoInfo],
    per_video: int,
    classes: Sequence[str],
    console: Console,
) -> tuple[dict[str, int], list[str]]:
    """Write one split. Return the number of frames of each class, and the unreadable videos."""
    counts: dict[str, int] = defaultdict(int)
    failed = []
    rows: list[dict[str, object]] = []
    schema = SCHEMA.with_metadata({"classes": json.dumps(classes)})
    with (
        atomic_write(path) as part,
        pq.ParquetWriter(part, schema) as writer,
        ProgressBar(console, f"{path.stem} frames", total=len(chosen)) as bar,
        ExitStack() as stack,
    ):
        requests = [
            # Frame i is in the middle of the i-th of ``per_video`` equal parts of the video.
            Request(video, tuple((i + 0.5) / per_video * video.duration_seconds for i in frames))
            for video, frames in ((catalog[clip.path], frames) for clip, frames in chosen.items())
        ]
        read = stack.enter_context(closing(read_requests(requests)))
        answers = zip(chosen, requests, read, strict=True)
        for clip, request, answer in bar.track(answers):
            if answer.failure:
                failed.append(f"{clip.path}: {answer.failure}.")
                continue
            # A short video has fewer frames than requested.
            shown = dict(zip(answer.pts_seconds, answer.images, strict=True))
            for pts, image in shown.items():
                name = f"{clip.path}@{pts:.3f}.jpg"
                data = _jpeg(image, sample_aspect_ratio=request.video.sample_aspect_ratio)
                rows.append(
                    {
                        "image": {"bytes": data, "path": name},
                        "label": clip.label,
                        "video": clip.path,
                        "pts_seconds": pts,
                        "group": clip.group,
                    }
                )
                counts[clip.label] += 1
            if len(rows) >= ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return counts, failed


def _jpeg(image: np.ndarray, *, sample_aspect_ratio: float) -> bytes:
    """Return a displayed RGB frame as a JPEG of quality 95 with square pixels."""
    picture = Image.fromarray(image)
    if sample_aspect_ratio != 1:
        width = max(1, round(picture.width * sample_aspect_ratio))
        picture = picture.resize((width, picture.height), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()
