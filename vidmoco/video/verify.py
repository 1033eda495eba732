"""Verify a catalog: decode every video once, and compare with the scan."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from vidmoco.config.frame_selection import TOLERANCE
from vidmoco.config.limits import Limits
from vidmoco.errors import VideoError
from vidmoco.shapes import UInt8
from vidmoco.video.catalog import Catalog
from vidmoco.video.container import open_video, to_rgb
from vidmoco.video.decode import read_frames
from vidmoco.video.files import require_as_scanned
from vidmoco.video.forward_reader import ForwardReader
from vidmoco.video.frame_stream import Lost, coded_size, decoded_frames
from vidmoco.video.frames import FastReader, Frames
from vidmoco.video.info import VideoInfo
from vidmoco.workers.pool import WorkerPool
from vidmoco.workers.process import still_alive

# Frames per video on which all readers must agree, including the first and the last.
_NUM_COMPARED = 8
# Mean difference of a picture in grey levels. Measured: 0 on 943 real clips.
_MAX_DIFFERENCE = 1.0


@dataclass(frozen=True)
class Finding:
    """The result of a full decode. ``findings`` is empty if it agrees with the scan."""

    num_frames: int = 0
    """Number of frames that were decoded without errors."""
    findings: tuple[str, ...] = ()
    """Each difference, as the end of a sentence about the file."""


def verify_videos(
    catalog: Catalog, *, workers: int, limits: Limits
) -> Iterator[tuple[VideoInfo, Finding]]:
    """Decode each readable video once. Yield its corrected row, and what was found.

    The frames of some times are read again in random order, by each reader that may read them. A
    video that differs is routed to PyAV. A video that fails to decode is refused.
    """
    readable = catalog.readable()
    if not len(readable):
        return
    pool = WorkerPool[VideoInfo, Finding](
        build_verify,
        (limits,),
        workers=workers,
        max_memory=limits.max_memory,
        max_seconds=limits.max_seconds,
    )
    with pool:
        for report in pool.map(readable.rows()):
            video, finding = report.job, report.value
            if report.failure:
                limit = limits.text_of(report.limit) if report.limit else ""
                refused = replace(video, route="refused", reason=report.failure, limit=limit)
                yield refused, Finding(findings=(report.failure,))
            elif finding is not None:
                if finding.findings and video.route == "decord":
                    video = replace(video, route="pyav", reason=finding.findings[0])
                yield video, finding


def build_verify(limits: Limits) -> Callable[[VideoInfo], Finding]:
    """Return the function with which a worker process verifies a video."""
    from vidmoco.video.decord_reader import DecordReader

    decord = DecordReader()
    return lambda video: verify_video(video, decord, limits)


def verify_video(video: VideoInfo, decord: FastReader, limits: Limits) -> Finding:
    """Decode a whole video, and compare it with its row.

    Raises:
        VideoError: the video cannot be opened.
    """
    wanted = _compared_frames(video)
    pictures: dict[int, tuple[float, UInt8[np.ndarray, "h w 3"]]] = {}
    times: list[float] = []
    sizes: set[tuple[int, int]] = set()
    lost: list[tuple[float, Lost]] = []
    require_as_scanned(video)
    with open_video(video.path, limits=limits) as (container, stream):
        for index, (seconds, frame) in enumerate(decoded_frames(container, stream, video)):
            times.append(seconds)
            if isinstance(frame, Lost):
                lost.append((seconds, frame))
            else:
                sizes.add((frame.width, frame.height))
                if index in wanted:
                    pictures[index] = seconds, to_rgb(frame, coded_size=coded_size(video))
    num_good = len(times) - len(lost)
    while lost and len(times) > video.num_frames and times[-1] == lost[-1][0]:
        times.pop()  # the packet that the end of a file cuts off, which the scan does not count
    findings = _compare_times(video, times)
    if lost:
        seconds, first = lost[0]
        findings.append(
            f"damaged frames: {len(lost)}, the first at {seconds:.3f} s: {first.reason}"
        )
    if sizes - {coded_size(video)}:
        findings.append(f"its pictures have the sizes {_text(sizes)}")
    if any(a >= b for a, b in pairwise(times)):
        findings.append("its times go back")
    findings += _compare_at_random(video, pictures, decord, limits)
    return Finding(num_good, tuple(findings))


def _compared_frames(video: VideoInfo) -> set[int]:
    last = video.num_frames - 1
    count = min(_NUM_COMPARED - 2, video.num_frames)
    return {0, last, *random.Random(video.key).sample(range(video.num_frames), count)}


def _compare_times(video: VideoInfo, times: list[float]) -> list[str]:
    findings = []
    if len(times) != video.num_frames:
        findings.append(f"{len(times)} frames are decoded, but the scan counts {video.num_frames}")
    if times and abs(times[0]) > TOLERANCE:
        findings.append(f"its first frame is shown at {times[0]:.6f} s, not at zero")
    if times and abs(times[-1] - video.last_seconds) > TOLERANCE:
        findings.append(
            f"its last frame is shown at {times[-1]:.6f} s, but at {video.last_seconds:.6f} s in "
            "the scan"
        )
    return findings


def _compare_at_random(
    video: VideoInfo,
    pictures: dict[int, tuple[float, np.ndarray]],
    decord: FastReader,
    limits: Limits,
) -> list[str]:
    """Return the frames for which a reader, in random order, gives another picture or time."""
    differing = []
    order = list(pictures)
    random.Random(0).shuffle(order)
    readers: dict[str, FastReader] = {"the forward reader": ForwardReader(limits)}
    if video.route == "decord":
        readers["decord"] = decord
    for index in order:
        seconds, picture = pictures[index]
        for name, reader in readers.items():
            still_alive()
            frames = reader.read(video, np.array([seconds]))
            # If one declines, the exact reader will read the frame.
            if frames is not None and _differs(frames, seconds, picture):
                differing.append(f"{name} shows another frame at {seconds:.3f} s")
        still_alive()
        try:
            exact = read_frames(video, [seconds], limits=limits)
        except VideoError as error:
            reason = str(error).removeprefix(f"{video.path}: ").rstrip(".")
            differing.append(f"the frame at {seconds:.3f} s is not read at random: {reason}")
        else:
            if _differs(exact, seconds, picture):
                differing.append(f"a seek shows another frame at {seconds:.3f} s")
    return differing


def _differs(frames: Frames, seconds: float, picture: np.ndarray) -> bool:
    difference = np.abs(frames.images[0].astype(np.int16) - picture).mean()
    return bool(difference > _MAX_DIFFERENCE or frames.pts_seconds[0] != seconds)


def _text(sizes: set[tuple[int, int]]) -> str:
    return ", ".join(f"{width} x {height}" for width, height in sorted(sizes))
