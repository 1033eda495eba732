"""``vidmoco prepare``: decode videos into a folder of frames, or update such a folder."""

import json
import time
from collections import Counter
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from vidmoco.atomic_file import writing
from vidmoco.config.commands import PrepareCommand
from vidmoco.console import say, say_first, say_result
from vidmoco.cores import num_cores
from vidmoco.errors import ConfigError
from vidmoco.frames.folder import locked, piece_name, pieces_of, refuse_foreign
from vidmoco.frames.index import (
    FRAME_COLUMNS,
    FrameIndex,
    VideoRow,
    merge_index,
    remove_old_tables,
    shard_name,
    write_index,
)
from vidmoco.frames.key import KEY_FILE
from vidmoco.frames.labels import calls_of, labels_of, names_of, read_labels
from vidmoco.frames.prepared import open_prepared
from vidmoco.frames.selection import Selection
from vidmoco.frames.shard_writer import ShardWriter
from vidmoco.frames.store import Store, damaged_shards, open_index
from vidmoco.frames.update import (
    at_their_places,
    copies_of_known,
    lines_of_update,
    names_in_folder,
    paths_of,
    refuse_other_settings,
    remove_dead_shards,
    staying,
)
from vidmoco.frames.writer import (
    ADVICE,
    PAIRS_TIMED,
    FrameSettings,
    PreparedVideo,
    PrepareJob,
    build_frame_writer,
)
from vidmoco.json_text import parse_json
from vidmoco.progress import ProgressBar
from vidmoco.run_folder import make_writable_folder
from vidmoco.text import counted
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.scan_command import print_catalog, print_refusals
from vidmoco.workers.pool import WorkerPool

_VISITS_APART = 50  # a visit is timed for every 50th video
_FRAMES_TIMED = 200
_MAX_LINES = 50


def prepare(command: PrepareCommand) -> int:
    """Run ``vidmoco prepare``. Return 0, or 1 if a video could not be read.

    Raises:
        ConfigError: a setting or path cannot be used, or the disk is full.
    """
    console = Console(stderr=True)
    folder = command.output
    refuse_foreign(folder)
    labels = {}
    if command.labels:
        reserved = {"video", *FRAME_COLUMNS}
        labels = read_labels(command.labels, key=command.labels_key, reserved=reserved)
    catalog = open_catalog(command.videos, workers=command.workers, limits=command.limits)
    readable = catalog.readable()
    if len(readable) < len(catalog):
        print_catalog(catalog, console=console)
    if not len(readable):
        raise ConfigError("None of these videos can be read. The reasons are listed above.")
    given = dict(zip(names_of(readable), readable.rows(), strict=True))
    if command.labels is not None and labels:
        labels = labels_of(labels, calls_of(given), path=command.labels, key=command.labels_key)
    settings = FrameSettings(
        fps=command.fps,
        short_side=command.short_side,
        quality=command.quality,
        selection=Selection(
            black=command.drop_black,
            min_sharpness=command.min_sharpness,
            min_change=command.min_change,
        ),
    )
    make_writable_folder(folder, flag="-o")
    began = time.monotonic()
    with locked(folder):
        known = open_index(folder) if (folder / KEY_FILE).exists() else None
        if known is not None:
            refuse_other_settings(folder, known.settings, asdict(settings), state="was prepared")
        shards = known.shard_sizes() if known else {}
        damaged = damaged_shards(Store(folder), known) if known else {}
        for shard, state in damaged.items():
            say(console, f"{folder}/{shard_name(shard)} {state}. Its videos are prepared again.")
        lost = {row.name for row in known.videos if row.shard in damaged} if known else set()
        with writing(folder, advice=ADVICE):
            writer = ShardWriter(
                folder,
                settings=asdict(settings),
                shard_bytes=round(command.shard_mib * 2**20),
                first_shard=max(shards, default=-1) + 1,
            )
            with closing(writer):
                rows = [*(known.videos if known else []), *(row for row, _ in writer.entries)]
                names = names_in_folder(given, rows)
                copies = copies_of_known(given, names, rows, lost=lost)
                videos = {names[one]: given[one] for one in given if names[one] not in copies}
                stay = staying(rows, set(names.values()), catalog, command.videos)
                current = {name: (v.num_bytes, v.mtime_ns) for name, v in videos.items()}
                labels = {
                    column: {names.get(name, name): label for name, label in by_name.items()}
                    for column, by_name in labels.items()
                }
                failed, pair_seconds = _write_missing(
                    writer, videos, known, lost, settings, command
                )
                writer.close_shard()
                index = merge_index(
                    known,
                    writer.entries,
                    current | copies | stay,
                    labels,
                    asdict(settings),
                    lost=lost,
                    stay=stay,
                )
                index = at_their_places(index, videos)
                if known and index.same_as(known):
                    remove_old_tables(folder, known.key)
                else:
                    write_index(folder, index)
                writer.forget_journal()
            # A damaged shard may have the only frames of a video.
            remove_dead_shards(folder, index, keep=damaged if failed else ())
    say_result(*lines_of_update(folder, rows, index, stay=stay, copies=copies, failed=failed))
    _print_result(folder, index, failed, seconds=time.monotonic() - began, console=console)
    print_refusals(catalog, console=console)
    if not index.frames.num_rows:
        raise ConfigError(
            f"{folder} holds no frames: all frames of these videos were dropped, for the reasons "
            "above. Add other videos, or prepare them with other settings into another folder."
        )
    if pair_seconds:
        _print_saving(folder, float(np.mean(pair_seconds)))
    return 1 if failed or len(readable) < len(catalog) else 0


def _write_missing(
    writer: ShardWriter,
    videos: dict[str, VideoInfo],
    known: FrameIndex | None,
    lost: AbstractSet[str],
    settings: FrameSettings,
    command: PrepareCommand,
) -> tuple[dict[str, str], list[float]]:
    """Write the frames of all videos that the folder lacks in their current state.

    Returns:
        The reasons why videos could not be read, by name; and the CPU seconds per pair of some
        videos' visits.
    """
    rows = [row for row in (known.videos if known else []) if row.name not in lost]
    rows += [row for row, _ in writer.entries]
    done = {row.name: (row.num_bytes, row.mtime_ns) for row in rows}
    todo = {
        name: video
        for name, video in videos.items()
        if done.get(name) != (video.num_bytes, video.mtime_ns)
    }
    limits = command.limits
    pool = WorkerPool[PrepareJob, PreparedVideo](
        build_frame_writer,
        (settings, limits),
        workers=command.workers or num_cores(),
        max_memory=limits.max_memory,
        max_seconds=limits.max_seconds,
        with_torch=True,
    )
    failed: dict[str, str] = {}
    pair_seconds: list[float] = []
    try:
        bar = ProgressBar(Console(stderr=True, quiet=not todo), "prepare", total=len(todo))
        with pieces_of(writer.folder) as pieces, pool, bar:
            jobs = (
                PrepareJob(
                    video, name, pieces / piece_name(number), time_visit=number % _VISITS_APART == 0
                )
                for number, (name, video) in enumerate(todo.items())
            )
            for report in bar.track(pool.map(jobs)):
                if report.value is not None:
                    _append(writer, report.job, report.value)
                    if report.value.visit_seconds:
                        pair_seconds.append(report.value.visit_seconds / PAIRS_TIMED)
                else:
                    failed[report.job.name] = report.failure
    finally:
        writer.sync()
    return failed, pair_seconds


def _append(writer: ShardWriter, job: PrepareJob, prepared: PreparedVideo) -> None:
    """Move the frames of a video from its piece to the shard."""
    if prepared.cannot_write:
        raise ConfigError(prepared.cannot_write)
    shard, start = writer.append(job.piece, num_bytes=prepared.num_bytes)
    num_frames = len(prepared.offsets)
    row = VideoRow(
        name=job.name,
        num_bytes=job.video.num_bytes,
        mtime_ns=job.video.mtime_ns,
        duration_seconds=job.video.duration_seconds,
        aspect_ratio=job.video.aspect_ratio,
        num_frames=num_frames,
        shard=shard,
        start=start,
        end=start + prepared.num_bytes,
        dropped=json.dumps(prepared.dropped) if prepared.dropped else "",
        damage=prepared.damage,
        path=paths_of([job.video])[0],
    )
    frames: dict[str, list[Any]] = {
        "pts_seconds": prepared.pts_seconds,
        "shard": [shard] * num_frames,
        "offset": [start + offset for offset in prepared.offsets],
        "length": prepared.lengths,
        "crc32": prepared.checksums,
    }
    writer.add(row, frames)


def _print_saving(folder: Path, pair_seconds: float) -> None:
    """Print the measured cost of a pair of frames from the folder, and from the videos."""
    frames = open_prepared(folder)
    total = len(frames.columns["offset"])
    picks = np.random.default_rng(0).integers(0, total, _FRAMES_TIMED)
    frames.read(int(picks[0]))  # the first one imports torchvision
    began = time.process_time()
    for pick in picks.tolist():
        frames.read(pick)
    prepared = 2 * (time.process_time() - began) / _FRAMES_TIMED
    say_result(
        f"A pair of frames takes {prepared * 1e3:.2f} ms of CPU time from here, and "
        f"{pair_seconds * 1e3:.2f} ms from the videos ({PAIRS_TIMED} pairs per visit).",
    )


def _print_result(
    folder: Path, index: FrameIndex, failed: dict[str, str], *, seconds: float, console: Console
) -> None:
    dropped: Counter[str] = Counter()
    for row in index.videos:
        dropped.update(parse_json(row.dropped) if row.dropped else {})
    sizes = index.shard_sizes()
    num_bytes = sum((folder / shard_name(shard)).stat().st_size for shard in sizes)
    say_result(
        f"{folder}: {counted(index.frames.num_rows, 'frame')} of "
        f"{counted(len(index.videos), 'video')}, "
        f"{num_bytes / 1e6:,.1f} MB in {counted(len(sizes), 'shard')}, {seconds:.1f} s",
    )
    if dropped:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(dropped.items()))
        say_result(f"Dropped: {counts}")
    used = sum(row.end - row.start for row in index.videos)
    unused = num_bytes - used - len(sizes) * 1024
    if unused > 0:
        say_result(
            f"{unused / 1e6:,.1f} MB of the shards are unused: frames of videos that have changed "
            "or are gone. The index leaves them out, other readers of the shards do not.",
        )
    problems = failed | {row.name: row.damage for row in index.videos if row.damage}
    listed = [f"{name!r}: {reason}" for name, reason in problems.items()]
    say_first(console, listed, most=_MAX_LINES)
