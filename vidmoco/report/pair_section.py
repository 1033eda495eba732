"""The section of sampled pairs: frames and views of a run's training, and their gaps."""

import tempfile
from pathlib import Path
from typing import Any

from markupsafe import Markup
from rich.console import Console
from torch import Tensor

from vidmoco import run_folder
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.console import say
from vidmoco.data.source import open_source
from vidmoco.errors import VidmocoError
from vidmoco.report.histogram import histogram
from vidmoco.report.markup import Section, paragraph, picture, render
from vidmoco.report.run_facts import RunFacts
from vidmoco.shapes import UInt8
from vidmoco.text import counted
from vidmoco.visualize.contact_sheet import (
    Sample,
    ShownPair,
    describe_gaps,
    gap_bars,
    picture_of,
)
from vidmoco.visualize.preview import sample_pairs

_SIDE = 176  # pixels, height of an embedded picture: sharp at its display size, a few KB
_MOST_WIDE = 2.4  # maximum width / height of a frame beside its views


def pair_section(facts: RunFacts, *, num_pairs: int, console: Console) -> Section | None:
    """Return the first pairs of a run, or the reason why its videos cannot be read now.

    Frames are decoded as in a training, in processes that a video may kill. The run folder is not
    changed.
    """
    if facts.config is None or num_pairs == 0:
        return None
    missing = [path for path in facts.config.videos if not path.exists()]
    if missing:
        of = f"{len(missing)} of {counted(len(facts.config.videos), 'path')}"
        return _without(
            f"the videos no longer exist: {missing[0]} is missing ({of}). Put them back, or give "
            "--pairs 0.",
            console,
        )
    say(console, f"Reading pairs of {facts.folder} …")
    try:
        sample = read_sample(facts.folder, facts.config, num_pairs=num_pairs, console=console)
    except VidmocoError as error:
        return _without(str(error), console)
    failed, has_gaps = len(sample.failures), len(sample.achieved_gaps) > 0
    shown = render(
        "pairs",
        pairs=[_pair(pair, has_gap=has_gaps) for pair in sample.pairs],
        gaps=_gaps(sample) if has_gaps else "",
        foot=f"{counted(failed, 'video')} could not be read now." if failed else "",
    )
    lead = "The first pairs of the run: frames of one video, and the views made of them."
    return Section("Sampled pairs", [shown], lead)


def read_sample(run: Path, config: PretrainConfig, *, num_pairs: int, console: Console) -> Sample:
    """Return the first pairs of a run, without the videos that killed its processes.

    Raises:
        ConfigError: the videos are not those that the run began with, or cannot be read.
        CheckpointError: the frames were prepared again.
        VideoError: too many videos in a row cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        # A copy, so that the report adds nothing to the run's quarantine.
        known, copied = run_folder.quarantine_of(run, 0), Path(folder) / run_folder.QUARANTINE
        if known.is_file():
            copied.write_bytes(known.read_bytes())
        source = open_source(config, resume=run, console=console, quarantine=copied)
        sample = sample_pairs(source, config, num_pairs=num_pairs)
    if sample.failures:
        say(
            console,
            f"{counted(len(sample.failures), 'video')} could not be read for the pairs, and others "
            f"are shown. The first: {source.failure_lines(sample.failures)[0].strip()}",
        )
    return sample


def _without(reason: str, console: Console) -> Section:
    say(console, f"No pairs are shown: {reason}")
    return Section("Sampled pairs", [paragraph(f"No pairs are shown: {reason}")])


def _pair(pair: ShownPair, *, has_gap: bool) -> dict[str, Any]:
    """Return a pair for the template: its video and gap, its frames and views."""
    aspect = min(pair.aspect_ratio, _MOST_WIDE)
    shots = [
        *(
            _shot(frame, aspect, f"at {seconds:.3f} s" if has_gap else "image")
            for frame, seconds in zip(pair.frames, pair.pts_seconds, strict=True)
        ),
        *(
            _shot(view, 1.0, name)
            for view, name in zip(pair.view_pixels, pair.view_names, strict=True)
        ),
    ]
    return {"name": pair.key, "gap": pair.apart if has_gap else "", "shots": shots}


def _shot(pixels: UInt8[Tensor, "3 h w"], aspect: float, caption: str) -> dict[str, Any]:
    height = max(1, min(_SIDE, max(pixels.shape[1:])))
    size = max(1, round(height * aspect)), height
    shown = picture(picture_of(pixels, size), alt=caption)
    return {"picture": shown, "caption": caption, "wide": aspect}


def _gaps(sample: Sample) -> Markup:
    """Return the histogram of the requested gaps and of the achieved ones."""
    step, shares, has_longer = gap_bars(sample)
    more = "; the last bar includes all longer gaps" if has_longer else ""
    return histogram(
        "Seconds between the frames of a pair",
        [(text, share.tolist()) for text, share in zip(describe_gaps(sample), shares, strict=True)],
        step=step,
        x_name="gap in seconds",
        about=f"share of the pairs{more}",
    )
