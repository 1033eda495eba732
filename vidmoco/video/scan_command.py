"""``vidmoco scan``: list the kinds of videos, and the refused ones with reasons."""

import functools
import os
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from vidmoco.config.commands import ScanCommand
from vidmoco.console import Table, say
from vidmoco.cores import num_cores
from vidmoco.errors import ConfigError, VideoError
from vidmoco.progress import ProgressBar
from vidmoco.run_folder import CATALOG
from vidmoco.text import counted
from vidmoco.urls import expand_lists
from vidmoco.video.catalog import Catalog, is_catalog
from vidmoco.video.forward_reader import reads_forward
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import (
    cached_catalog,
    open_catalog,
    scan_groups,
)
from vidmoco.video.verify import verify_videos

_MAX_REFUSED_LINES = 50
_MAX_OF_A_REASON = 5
_MAX_REASONS = 5
_DECIDE_READER = (
    *("container", "codec", "pixel_format", "route"),
    *("leading_pictures", "edit_list", "estimated_times"),
)


def print_catalog(catalog: Catalog, *, console: Console, catalog_path: Path | None = None) -> None:
    """Print the kinds of videos with what a training reads them by, and the refused ones.

    A long list is cut, and refers to ``catalog_path``.
    """
    counts: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0, 0, 0.0])
    readable = catalog.readable()
    columns = [readable.column(name).tolist() for name in ("num_frames", "duration_seconds")]
    kinds = zip(*(readable.column(name).tolist() for name in _DECIDE_READER), strict=True)
    for kind, num_frames, seconds in zip(kinds, *columns, strict=True):
        count = counts[kind[0], kind[1], reader_of(*kind)]
        count[:] = count[0] + 1, count[1] + num_frames, count[2] + seconds / 3600
    if counts:
        table = Table()
        for title in ("container", "codec", "route"):
            table.add_column(title)
        for title in ("videos", "frames", "hours"):
            table.add_column(title, justify="right")
        for kind, (videos, frames, hours) in sorted(counts.items()):
            numbers = (f"{videos:,}", f"{frames:,}", f"{hours:,.2f}")
            table.add_row(*kind, *numbers)
        console.print(table)
    num_hdr = sum(1 for transfer in readable.column("hdr").tolist() if transfer)
    if num_hdr:
        say(
            console,
            f"HDR: {counted(num_hdr, 'video')}. Their colours are taken as coded, without tone "
            "mapping.",
        )
    filled = [number for number in readable.column("filled_times").tolist() if number]
    if filled:
        say(
            console,
            f"Times filled in: {sum(filled):,} frames of {len(filled):,} videos, whose files miss "
            "or repeat them.",
        )
    refused = catalog.refused()
    if not len(refused):
        return
    say(console, f"Refused: {len(refused)} of {len(catalog)}")
    by_reason: dict[str, list[str]] = defaultdict(list)
    reasons, keys = (refused.column(name).tolist() for name in ("reason", "key"))
    for reason, key in zip(reasons, keys, strict=True):
        by_reason[reason].append(key)
    lines: list[str] = []
    for reason, names in by_reason.items():
        lines += [f"  {name}: {reason}" for name in names[:_MAX_OF_A_REASON]]
        if (more := len(names) - _MAX_OF_A_REASON) > 0:
            lines.append(f"  … and {more:,} more: {reason}")
    say(console, *lines[:_MAX_REFUSED_LINES])
    if len(lines) > _MAX_REFUSED_LINES or len(lines) < len(refused):
        where = f"in {catalog_path}" if catalog_path else "given by `vidmoco scan -o FILE`"
        say(console, f"All {len(refused):,} are {where}")


@functools.cache
def reader_of(*kind: str | bool) -> str:
    """Return what reads a video in a training with the default ``--data.decoder auto``.

    ``kind`` are its ``_DECIDE_READER``.
    """
    values: dict[str, Any] = dict(zip(_DECIDE_READER, kind, strict=True))
    video = VideoInfo(root="", key="", num_bytes=0, mtime_ns=0, **values)
    return "pyav" if reads_forward(video) else video.route


def print_refusals(catalog: Catalog, *, console: Console) -> None:
    """Print how many videos are refused for which reasons, the most frequent first, in one line."""
    refused = catalog.refused()
    if not len(refused):
        return
    counts = Counter(refused.column("reason").tolist()).most_common()
    listed = [f"{count:,} ({reason})" for reason, count in counts[:_MAX_REASONS]]
    if len(counts) > _MAX_REASONS:
        listed.append(f"{sum(count for _, count in counts[_MAX_REASONS:]):,} for other reasons")
    say(console, f"Refused: {len(refused):,} of {len(catalog):,} videos: {', '.join(listed)}")


def print_refusals_of_run(run: Path) -> None:
    """Print the refusals of a run's videos, in one process of several."""
    if (run / CATALOG).exists() and os.environ.get("RANK", "0") == "0":
        print_refusals(Catalog.load(run / CATALOG), console=Console(stderr=True))


def scan_command(command: ScanCommand) -> int:
    """Run ``vidmoco scan``. Return 0, or 1 if the verification finds a difference.

    Raises:
        ConfigError: a path or the output cannot be used.
        VideoError: none of the videos can be read.
    """
    output = command.output
    if output is not None and output.suffix.lower() != ".parquet":
        raise ConfigError(f"--output is {str(output)!r}; it must end with .parquet.")
    if output is not None and output.exists() and not is_catalog(output):
        raise ConfigError(f"{output} exists, and is not a catalog of videos. Give another file.")
    catalog = open_catalog(
        command.videos, workers=command.workers, fresh=command.fresh, limits=command.limits
    )
    console = Console()
    where = output or _catalog_of(expand_lists(command.videos))
    if len(catalog) == 1 and catalog[0].route == "refused":
        raise VideoError(f"{catalog[0].path}: {catalog[0].reason}.")
    num_findings = 0
    if command.verify:
        catalog, num_findings = _verify(catalog, command, console=console)
    if output is not None:
        catalog.save(output)
    print_catalog(catalog, console=console, catalog_path=where)
    if not len(catalog.readable()):
        raise VideoError(f"None of the {len(catalog)} videos can be read.")
    found = counted(len(catalog), "video")
    say(console, f"{found} in {where}" if where else f"{found}; -o FILE puts them into one catalog")
    return 1 if num_findings else 0


def _catalog_of(sources: Sequence[Path]) -> Path | None:
    """Return the file that holds the catalog of these videos and no others, if there is one."""
    source = sources[0]
    if len(sources) > 1:
        return None
    return source if source.suffix.lower() == ".parquet" else scan_groups(sources)[0][1]


def _verify(catalog: Catalog, command: ScanCommand, *, console: Console) -> tuple[Catalog, int]:
    """Decode everything, print the differences from the scan, and update the cached catalogs."""
    began = time.monotonic()
    changed: list[VideoInfo] = []
    num_frames = num_findings = 0
    found = verify_videos(catalog, workers=command.workers or num_cores(), limits=command.limits)
    num_videos = len(catalog.readable())
    with ProgressBar(Console(stderr=True), "verify", total=num_videos) as bar:
        for video, finding in bar.track(found):
            num_frames += finding.num_frames
            if finding.findings:
                num_findings += 1
                changed.append(video)
                say(console, f"  {video.key}: {'; '.join(finding.findings)}")
    say(
        console,
        f"Verified: {counted(num_videos, 'video')}, {counted(num_frames, 'frame')} decoded in "
        f"{time.monotonic() - began:.1f} s; {num_findings:,} differ from the scan",
    )
    for _, cache in scan_groups(expand_lists(command.videos)) if changed else ():
        known = cached_catalog(cache)
        if known is not None:
            paths = {(info.root, info.key) for info in known.rows()}
            known.updated(v for v in changed if (v.root, v.key) in paths).save(cache)
    return catalog.updated(changed), num_findings
