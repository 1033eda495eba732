#!/usr/bin/env python
r"""Frames of labelled videos as an image set for ``vidmoco evaluate``, split by group.

    python tools/labelled_frames.py videos/ videos/manifest.csv -o rooms/ \
        --label label --group split_group --where group=droid --per-class min
    vidmoco evaluate rooms/ --backbone runs/latest random

The manifest is a CSV with a column `path` (relative to the folder of videos), one with the label
and one with the group: what belongs together, such as the clips of one place and day. All frames of
a group go to train, or all to val: frames of one video, or of one room on one day, are near-copies,
and a split through them measures memory.

Written are OUT/train.parquet and OUT/val.parquet: `image` (bytes of a JPEG), `label`, `video`,
`pts_seconds`, `group`.
"""

import argparse
import io
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vidmoco.errors import ConfigError, DataError, VideoError, VidmocoError
from vidmoco.evaluate.labelled_clips import (
    Clip,
    choose_frames,
    clips_by,
    drop_small_classes,
    read_manifest,
    val_groups,
)
from vidmoco.run_folder import make_writable_folder
from vidmoco.video.catalog import VideoInfo, open_catalog
from vidmoco.video.decode import read_requests

SPLITS = ("train", "val")
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 done, 1 some videos failed, 2 the user's mistake."""
    try:
        return make_frames(parse(argv))
    except VidmocoError as error:
        print(f"labelled_frames: {error}", file=sys.stderr)
        return 2


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", type=Path, help="folder of videos")
    parser.add_argument("manifest", type=Path, help="CSV with a row a video")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--label", default="label", help="column of the class")
    parser.add_argument("--group", required=True, help="column of what must stay together")
    parser.add_argument("--path", default="path", help="column of the path in the folder of videos")
    parser.add_argument(
        "--where", action="append", default=[], metavar="COLUMN=VALUE", help="rows to take"
    )
    parser.add_argument("--per-video", type=int, default=4, help="frames of a video, evenly spaced")
    parser.add_argument(
        "--per-class",
        type=lambda text: text if text == "min" else int(text) if text.isdigit() else 0,
        metavar="N|min",
        help="most frames of a class in each part; min: as many as the rarest class has",
    )
    parser.add_argument("--min-videos", type=int, default=10, help="a class of fewer is dropped")
    parser.add_argument("--min-groups", type=int, default=4, help="a class of fewer is dropped")
    parser.add_argument("--val-share", type=float, default=0.3, help="share of a class's groups")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the choice")
    options = parser.parse_args(argv)
    for holds, flag, expected in (
        (options.per_video >= 1, "--per-video", "at least 1"),
        (options.min_groups >= 2, "--min-groups", "at least 2: one for train, one for val"),
        (0 < options.val_share < 1, "--val-share", "between 0 and 1"),
        (options.per_class != 0, "--per-class", "a number of frames, at least 1, or min"),
    ):
        if not holds:
            raise ConfigError(f"{flag} must be {expected}.")
    return options


def make_frames(options: argparse.Namespace) -> int:
    """Write both parts and return the exit code."""
    console = Console(stderr=True)
    make_writable_folder(options.output, flag="--output")
    clips = read_manifest(
        options.manifest,
        path=options.path,
        label=options.label,
        group=options.group,
        where=options.where,
    )
    clips, dropped = drop_small_classes(
        clips, min_videos=options.min_videos, min_groups=options.min_groups
    )
    videos = {video.key: video for video in open_catalog([options.videos]).rows()}
    failed = [
        (clip.path, "not in the folder of videos") for clip in clips if clip.path not in videos
    ]
    clips = [clip for clip in clips if clip.path in videos]
    if not clips:
        raise DataError(
            f"No video of {options.manifest} is in {options.videos}; the column {options.path!r} "
            f"has paths such as {failed[0][0] if failed else '…'!r}."
        )
    in_val = val_groups(clips, share=options.val_share, seed=options.seed)
    parts = {
        split: choose_frames(
            [clip for clip in clips if (clip.group in in_val) == (split == "val")],
            per_video=options.per_video,
            per_class=options.per_class,
            seed=options.seed,
        )
        for split in SPLITS
    }
    classes = sorted({clip.label for clip in clips})
    counts = {}
    for split, chosen in parts.items():
        counts[split], bad = write_part(
            options.output / f"{split}.parquet",
            chosen,
            videos=videos,
            per_video=options.per_video,
            classes=classes,
            console=console,
        )
        failed += bad
    report(clips, counts, dropped=dropped, in_val=in_val, classes=classes)
    for path, reason in failed:
        console.print(f"  left out: {path}: {reason}", markup=False, soft_wrap=True)
    empty = [name for name in classes if not all(counts[split].get(name) for split in SPLITS)]
    if empty:
        raise DataError(f"No frame of {', '.join(empty)} could be read for both parts.")
    return 1 if failed else 0


def write_part(
    path: Path,
    chosen: dict[Clip, list[int]],
    *,
    videos: dict[str, VideoInfo],
    per_video: int,
    classes: Sequence[str],
    console: Console,
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Write one part; return the frames of each class, and the videos that could not be read."""
    counts: dict[str, int] = defaultdict(int)
    failed = []
    rows: list[dict[str, object]] = []
    part = path.with_name(f"{path.name}.part")
    schema = SCHEMA.with_metadata({"classes": json.dumps(classes)})
    with pq.ParquetWriter(part, schema) as writer:
        requests = [
            # Frame i is that in the middle of the i-th of equal parts of the video.
            (video, [(i + 0.5) / per_video * video.duration_seconds for i in frames])
            for video, frames in ((videos[clip.path], frames) for clip, frames in chosen.items())
        ]
        answers = zip(chosen, requests, read_requests(requests), strict=True)
        for clip, (video, _), read in track(
            answers, description=path.stem, total=len(chosen), console=console
        ):
            if isinstance(read, VideoError):
                failed.append((clip.path, str(read)))
                continue
            for image, pts in zip(read.images, read.pts_seconds.tolist(), strict=True):
                name = f"{clip.path}@{pts:.3f}.jpg"
                data = jpeg(image, sample_aspect_ratio=video.sample_aspect_ratio)
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
    part.replace(path)
    return counts, failed


def jpeg(image: np.ndarray, *, sample_aspect_ratio: float) -> bytes:
    """Return a displayed RGB frame as a JPEG of quality 95 with square pixels."""
    picture = Image.fromarray(image)
    if sample_aspect_ratio != 1:
        width = max(1, round(picture.width * sample_aspect_ratio))
        picture = picture.resize((width, picture.height), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def report(
    clips: Sequence[Clip],
    counts: dict[str, dict[str, int]],
    *,
    dropped: Sequence[str],
    in_val: set[str],
    classes: Sequence[str],
) -> None:
    """Print what was written."""
    table = Table()
    table.add_column("class", overflow="fold")
    for title in ("videos", "train groups", "val groups", "train frames", "val frames"):
        table.add_column(title, justify="right")
    by_class = clips_by(clips, "label")
    for name in classes:
        groups = {clip.group for clip in by_class[name]}
        numbers = [len(by_class[name]), len(groups - in_val), len(groups & in_val)]
        numbers += [counts[split].get(name, 0) for split in SPLITS]
        table.add_row(name, *map(str, numbers))
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 120))
    console.print(table)
    if dropped:
        console.print(f"dropped, too small: {'; '.join(dropped)}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
