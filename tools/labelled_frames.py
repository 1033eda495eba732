#!/usr/bin/env python
r"""Write frames of labelled videos as an image set, split by group.

    python tools/labelled_frames.py videos/ -o rooms/ --videos.labels videos/manifest.csv \
        --videos.group-column split_group --videos.where group=droid --videos.frames-per-class min
    vidmoco evaluate rooms/ --backbone runs/latest random

``vidmoco evaluate videos/`` with the same flags does both; this keeps the set for other tools.
OUT/train.parquet and OUT/val.parquet have the columns `image` (bytes of a JPEG), `label`, `video`,
`pts_seconds` and `group`. OUT/labelled_frames.json marks a folder that this tool may overwrite. Any
other folder must be empty.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from vidmoco.config.evaluation import LabelledVideosConfig
from vidmoco.config.fields import VAL_SHARE, ValShare
from vidmoco.console import say, wide_console
from vidmoco.errors import ConfigError, VidmocoError
from vidmoco.evaluate.labelled_clips import SPLITS, clips_by
from vidmoco.evaluate.labelled_videos import FrameSet, make_frames
from vidmoco.run_folder import make_writable_folder

MARK = "labelled_frames.json"


@dataclass(frozen=True, kw_only=True)
class LabelledFrames:
    """Write frames of labelled videos as train.parquet and val.parquet, split by group."""

    folder: Positional[Path]
    """Folder of videos."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Folder to write."""
    videos: LabelledVideosConfig = field(default_factory=LabelledVideosConfig)
    val_share: ValShare = VAL_SHARE
    seed: int = 0
    """Of the split and of the choice of frames."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}; it must be 0 or more.")
        if not 0 < self.val_share < 1:
            raise ConfigError(f"--val-share is {self.val_share}; it must be between 0 and 1.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and return 0, 1 if something was left out, or 2 for the user's mistake."""
    console = Console(stderr=True)
    try:
        command = tyro.cli(LabelledFrames, args=argv)
        claim_folder(command.output, source=command.folder)
        made = make_frames(
            command.folder,
            command.videos,
            command.output,
            val_share=command.val_share,
            seed=command.seed,
            console=console,
        )
    except VidmocoError as error:
        print(f"labelled_frames: {error}", file=sys.stderr)
        return 2
    print_table(made)
    say(console, *(f"left out: {line}" for line in made.left_out))
    return 1 if made.left_out else 0


def claim_folder(folder: Path, *, source: Path) -> None:
    """Make the folder and mark it as this tool's.

    Raises:
        ConfigError: the folder is neither empty nor marked, or cannot be written.
    """
    mark = folder / MARK
    make_writable_folder(folder, flag="--output")
    if any(folder.iterdir()) and not mark.is_file():
        raise ConfigError(
            f"--output is {folder}, which has files that this tool did not make: it lacks {MARK}. "
            "Give a new or an empty folder."
        )
    mark.write_text(json.dumps({"videos": str(source.resolve())}) + "\n", encoding="utf-8")


def print_table(made: FrameSet) -> None:
    """Print what was written."""
    table = Table()
    table.add_column("class", overflow="fold")
    for title in ("videos", "train groups", "val groups", "train frames", "val frames"):
        table.add_column(title, justify="right")
    for name, clips in sorted(clips_by(made.clips, "label").items()):
        groups = {clip.group for clip in clips}
        numbers = [len(clips), len(groups - made.val_groups), len(groups & made.val_groups)]
        numbers += [made.num_frames[split].get(name, 0) for split in SPLITS]
        table.add_row(Text(name), *map(str, numbers))
    console = wide_console(columns=120)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
