"""Small pictures of frames. They are decoded and shrunk in processes that a video may kill."""

import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vidmoco.config.frame_selection import TOLERANCE
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.cores import num_cores
from vidmoco.errors import ConfigError
from vidmoco.features.feature_set import FeatureFile, FeatureSet
from vidmoco.shapes import Int64
from vidmoco.text import counted, in_ascii
from vidmoco.urls import is_url
from vidmoco.video.files import state_of
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import open_catalog
from vidmoco.video.requests import Answer, Request, read_requests
from vidmoco.visualize.drawing import Box, font, shrink_all

BOX: Box = (160, 120)
_GREY, _WORDS = "#d5d8dc", "#5f6368"


def thumbnails(
    features: FeatureSet,
    rows: Int64[np.ndarray, " m"],
    *,
    box: Box = BOX,
    limits: Limits = DEFAULT_LIMITS,
    on_read: Callable[[int], None] = lambda _: None,
) -> list[Image.Image]:
    """Return a picture of each row's frame, in its true shape, as large as fits in ``box``.

    If a frame cannot be read, its picture is a grey tile of the size of ``box`` that says why: the
    video is gone, has changed since the extraction, or cannot be read.

    Args:
        features: knows the videos.
        rows: rows of ``features``, in any order, with repeats.
        box: greatest width and height of a picture.
        limits: what a video may be, and what reading it may cost.
        on_read: called with the number of new pictures.
    """
    wanted = defaultdict(list)
    for row in sorted(set(rows.tolist())):
        wanted[features.file_of(row)].append(row)
    problems = {file: _problem(file) for file in wanted}
    sources = [file.source for file, problem in problems.items() if not problem]
    videos = look_at_videos(sources, limits=limits)
    found: dict[int, Image.Image] = {}
    requests: list[Request] = []
    rows_of: list[list[int]] = []
    for file, mine in wanted.items():
        video = videos.get(file.source)
        problem = problems[file] or _refusal(video)
        if video is None or problem:
            found |= {row: grey_tile(problem, box) for row in mine}
            on_read(len(mine))
            continue
        requests.append(Request(video, tuple(float(features.times[row]) for row in mine)))
        rows_of.append(mine)
    answers = read_requests(
        requests,
        convert=partial(shrink_all, box),
        workers=max(1, min(num_cores(), len(requests))),
        limits=limits,
    )
    with closing(answers):
        for mine, request, answer in zip(rows_of, requests, answers, strict=True):
            found |= zip(mine, _pictures(request, answer, box), strict=True)
            on_read(len(mine))
    return [found[row] for row in rows.tolist()]


def gone_line(files: Iterable[FeatureFile]) -> str:
    """Return a line on the videos that have no pictures any more, or an empty string.

    Args:
        files: of the frames that are to be shown.
    """
    shown = {file.source: file for file in files}
    problems = {file: problem for file in shown.values() if (problem := _problem(file))}
    if not problems:
        return ""
    first, problem = next(iter(problems.items()))
    advice = (
        "Extract local files to see them."
        if is_url(first.source)
        else f"Put it back as {first.source}, or extract again with --overwrite."
    )
    return (
        f"There are no pictures of {len(problems):,} of {counted(len(shown), 'video')}. The first: "
        f"{first.name!r}, {problem}. {advice}"
    )


def look_at_videos(sources: Sequence[Path], *, limits: Limits) -> Mapping[Path, VideoInfo]:
    """Return what the scan says of video files; those that have gone meanwhile are missing."""
    if not sources:
        return {}
    with suppress(ConfigError):  # the catalog is kept: a look reads a file to its end
        catalog = open_catalog(sources, progress=False, limits=limits)
        return {row.path: row for row in catalog.rows()}
    return {}


def _pictures(request: Request, answer: Answer, box: Box) -> Iterator[Image.Image]:
    for time, image, pts, failure in zip(
        request.times, answer.images, answer.pts_seconds, answer.failures, strict=True
    ):
        if failure:
            yield grey_tile(failure, box)
        elif abs(pts - time) > TOLERANCE:
            # A neighbour's picture under this frame's name would be worse than none.
            yield grey_tile("the video has no frame of that time", box)
        else:
            yield Image.fromarray(image)


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
    if is_url(file.source):
        return "the video is at a URL"
    try:
        status = file.source.stat()
    except (OSError, ValueError):  # ValueError: no file can have such a name
        return "the video is not there any more"
    if not file.source.is_file():
        return "the video is not a file any more"
    then = file.sidecar.get("source_bytes"), file.sidecar.get("source_mtime_ns")
    if state_of(status) != then:
        return "the video has changed since the extraction"
    return ""


def _refusal(video: VideoInfo | None) -> str:
    if video is None:
        return "the video is not there any more"
    return f"refused: {video.reason}" if video.route == "refused" else ""
