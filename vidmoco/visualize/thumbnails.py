"""Small pictures of frames, decoded and shrunk in processes that a video may kill."""

import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.cores import num_cores
from vidmoco.errors import ConfigError, VideoError
from vidmoco.features.feature_set import FeatureFile, FeatureSet
from vidmoco.shapes import Int64, UInt8
from vidmoco.text import in_ascii
from vidmoco.video.decode import read_frames
from vidmoco.video.info import VideoInfo
from vidmoco.video.scan import scan_videos
from vidmoco.visualize.contact_sheet import font
from vidmoco.workers.pool import WorkerPool

Box = tuple[int, int]
"""Greatest width and height in pixels."""

BOX: Box = (160, 120)
_BYTES_AT_ONCE = 64 * 2**20  # assumption: of whole frames in a process; eight of 4K
_SAME_TIME = 1e-6  # seconds, as the extraction counts them
_GREY, _WORDS = "#d5d8dc", "#5f6368"


@dataclass(frozen=True)
class ThumbnailJob:
    """Frames wanted of one video."""

    video: VideoInfo
    times: tuple[float, ...]
    """Seconds from the first shown frame, not falling."""
    box: Box


@dataclass(frozen=True)
class _Part:
    """Pictures of a job and when they are shown, or why there is none of the time ``first``."""

    first: int
    pictures: list[np.ndarray] = field(default_factory=list)
    pts_seconds: list[float] = field(default_factory=list)
    reason: str = ""


def thumbnails(
    features: FeatureSet,
    rows: Int64[np.ndarray, " m"],
    *,
    box: Box = BOX,
    limits: Limits = DEFAULT_LIMITS,
    on_read: Callable[[int], None] = lambda _: None,
) -> list[Image.Image]:
    """Return a picture of each row's frame, in its true shape, as large as fits in ``box``.

    Where a frame cannot be had, there is a grey tile of the size of ``box`` that says why: its
    video is gone, has changed since the extraction, or cannot be read.

    Args:
        features: knows the videos.
        rows: in any order, with repeats.
        box: greatest width and height of a picture.
        limits: what a video may be, and what reading it may cost.
        on_read: is told the number of pictures each time some have come.
    """
    wanted = defaultdict(list)
    for row in sorted(set(rows.tolist())):
        wanted[features.file_of(row)].append(row)
    problems = {file: _problem(file) for file in wanted}
    sources = [file.source for file, problem in problems.items() if not problem]
    videos = look_at_videos(sources, limits=limits)
    found: dict[int, Image.Image] = {}
    jobs: list[ThumbnailJob] = []
    rows_of: list[list[int]] = []
    for file, mine in wanted.items():
        video = videos.get(file.source)
        problem = problems[file] or _refusal(video)
        if video is None or problem:
            found |= {row: grey_tile(problem, box) for row in mine}
            on_read(len(mine))
            continue
        times = tuple(float(features.times[row]) for row in mine)
        jobs.append(ThumbnailJob(video, times, box))
        rows_of.append(mine)
    for number, place, picture in read_thumbnails(jobs, limits=limits):
        found[rows_of[number][place]] = picture
        on_read(1)
    return [found[row] for row in rows.tolist()]


def look_at_videos(sources: Sequence[Path], *, limits: Limits) -> Mapping[Path, VideoInfo]:
    """Return what the scan says of video files; those that have gone meanwhile are missing."""
    if not sources:
        return {}
    with suppress(ConfigError):
        return {row.path: row for row in scan_videos(sources, progress=False, limits=limits).rows()}
    return {}


def read_thumbnails(
    jobs: Sequence[ThumbnailJob], *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[int, int, Image.Image]]:
    """Yield (number of the job, place among its times, picture) as they come; each exactly once."""
    missing = [set(range(len(job.times))) for job in jobs]
    pool = WorkerPool[tuple[int, ThumbnailJob], _Part](
        _build_reader,
        (limits,),
        workers=max(1, min(num_cores(), len(jobs))),
        max_memory=limits.max_memory,
        max_seconds=limits.seconds_of_silence,
        with_torch=True,
    )
    with pool:
        for report in pool.map(enumerate(jobs)):
            number, job = report.job
            part = report.value
            if part is not None:
                for place, picture in _pictures(job, part):
                    missing[number].discard(place)
                    yield number, place, picture
            if report.last:
                for place in sorted(missing[number]):
                    yield number, place, grey_tile(_short(report.failure, job), job.box)


def _pictures(job: ThumbnailJob, part: _Part) -> Iterator[tuple[int, Image.Image]]:
    if part.reason:
        yield part.first, grey_tile(_short(part.reason, job), job.box)
    for n, (pixels, pts) in enumerate(zip(part.pictures, part.pts_seconds, strict=True)):
        place = part.first + n
        if abs(pts - job.times[place]) > _SAME_TIME:
            # A neighbour's picture under this frame's name would be worse than none.
            yield place, grey_tile("the video has no frame of that time", job.box)
        else:
            yield place, Image.fromarray(pixels)


def grey_tile(reason: str, box: Box) -> Image.Image:
    """Return a tile that says why there is no picture."""
    tile = Image.new("RGB", box, _GREY)
    size = max(9, min(13, box[0] // 12))
    characters = max(6, int(box[0] / (0.55 * size)))
    lines = textwrap.wrap(in_ascii(reason), characters)[: max(1, box[1] // (size + 4))]
    place = (box[0] / 2, box[1] / 2)
    ImageDraw.Draw(tile).multiline_text(
        place, "\n".join(lines), _WORDS, font(size), anchor="mm", align="center"
    )
    return tile


def _problem(file: FeatureFile) -> str:
    try:
        status = file.source.stat()
    except (OSError, ValueError):  # ValueError: no file can have such a name
        return "the video is not there any more"
    if not file.source.is_file():
        return "the video is not a file any more"
    then = file.sidecar.get("source_bytes"), file.sidecar.get("source_mtime_ns")
    if (status.st_size, status.st_mtime_ns) != then:
        return "the video has changed since the extraction"
    return ""


def _refusal(video: VideoInfo | None) -> str:
    if video is None:
        return "the video is not there any more"
    return f"refused: {video.reason}" if video.route == "refused" else ""


def _short(reason: str, job: ThumbnailJob) -> str:
    """Return a reason without the path, which stands under the tile."""
    return reason.replace(f"{job.video.path}: ", "") or "it cannot be read"


def _build_reader(limits: Limits) -> Callable[[tuple[int, ThumbnailJob]], Iterator[_Part]]:
    from vidmoco.video.readers import build_fast_reader

    fast = build_fast_reader("auto", limits)

    def attempt(job: ThumbnailJob, first: int, end: int) -> Iterator[_Part]:
        video = job.video
        try:
            frames = read_frames(video, job.times[first:end], limits=limits, fast=fast)
        except VideoError as error:
            if end - first == 1:
                yield _Part(first, reason=str(error))
                return
            middle = (first + end) // 2  # one damaged frame does not cost the others
            yield from attempt(job, first, middle)
            yield from attempt(job, middle, end)
            return
        pictures = [shrink(image, video.aspect_ratio, job.box) for image in frames.images]
        yield _Part(first, pictures, frames.pts_seconds.tolist())

    def read(numbered: tuple[int, ThumbnailJob]) -> Iterator[_Part]:
        _, job = numbered
        at_once = max(1, _BYTES_AT_ONCE // (3 * job.video.width * job.video.height))
        for first in range(0, len(job.times), at_once):
            yield from attempt(job, first, min(first + at_once, len(job.times)))

    return read


def shrink(
    image: UInt8[np.ndarray, "h w 3"], aspect_ratio: float, box: Box
) -> UInt8[np.ndarray, "new_h new_w 3"]:
    """Return a picture as large as fits in ``box`` at its displayed width / height."""
    width = min(box[0], box[1] * aspect_ratio)
    size = max(1, round(width)), max(1, min(box[1], round(width / aspect_ratio)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
