"""``vidmoco search``: the frames most similar to an image, as a table and a contact sheet."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console

from vidmoco.config.evaluation import SearchCommand
from vidmoco.console import Table, say, say_result, wide_console
from vidmoco.features.feature_set import FeatureSet, open_features
from vidmoco.shapes import Float32, Int64
from vidmoco.text import counted, in_ascii
from vidmoco.urls import expanded
from vidmoco.visualize.display import (
    MARGIN,
    QUIET,
    SPACE,
    TEXT,
    print_left_out,
    print_note,
    shown_seconds,
)
from vidmoco.visualize.drawing import font, shortened
from vidmoco.visualize.neighbours import nearest_rows, similarities
from vidmoco.visualize.png_file import require_png, save_png
from vidmoco.visualize.query import Query, backbone_of, feature_of, read_query
from vidmoco.visualize.thumbnails import gone_line, thumbnails

_TILE, _QUERY = (240, 160), (360, 240)
_COLUMNS, _CAPTION = 4, 44


@dataclass(frozen=True, eq=False)
class Hits:
    """The frames most similar to a query, the most similar first."""

    query: Query
    features: FeatureSet
    rows: Int64[np.ndarray, " m"]
    similarity: Float32[np.ndarray, " m"]
    """The cosine of each with the query."""
    num_videos: int
    per_video: int
    """The most frames of one video."""


def find(
    command: SearchCommand, *, query: Query | None = None, console: Console | None = None
) -> Hits:
    """Return the frames that a search finds.

    Args:
        command: The settings.
        query: In place of the one that the command names.
        console: Names the backbone. The default is standard error.

    Raises:
        ConfigError: features, query or backbone cannot be used.
        DataError: a file of features is damaged.
        VideoError: the video of the query cannot be read.
    """
    features = open_features(command.features)
    query = query or read_query(command.query, limits=command.limits)
    frozen = backbone_of(features, backbone=command.backbone, device=command.device)
    say(console or Console(stderr=True), f"Backbone: {frozen.source}")
    similarity = similarities(features, feature_of(frozen, query)[None])[0]
    num_videos = len(set(features.videos.tolist()))
    # Frames of one video are similar, so show as few of each video as fill the table.
    per_video = command.per_video or -(-command.top // num_videos)
    rows = nearest_rows(
        similarity,
        videos=features.videos,
        times=features.times,
        top=command.top,
        per_video=per_video,
        min_gap=command.min_gap,
    )
    return Hits(query, features, rows, similarity[rows], num_videos, per_video)


def search(command: SearchCommand) -> int:
    """Print the table, write the sheet and return exit code 0; raise what ``find`` raises."""
    output = expanded(command.output)
    require_png(output)
    hits = find(command)
    features, rows = hits.features, hits.rows
    of = f"{counted(features.num_rows, 'frame')} of {counted(hits.num_videos, 'video')}"
    lines = [
        f"{of} below {features.folder}",
        f"{len(rows)} shown, at most {hits.per_video} of one video, {command.min_gap:g} s apart",
    ]
    print_left_out(features.left_out)
    _print_table(features, rows, hits.similarity, lines)
    print_note(gone_line(features.file_of(row) for row in rows.tolist()))
    pictures = thumbnails(features, rows, box=_TILE, limits=command.limits)
    save_png(draw_results(hits.query, features, rows, hits.similarity, pictures, lines), output)
    say_result(output)
    return 0


def _print_table(
    features: FeatureSet,
    rows: Int64[np.ndarray, " m"],
    similarity: Float32[np.ndarray, " m"],
    lines: list[str],
) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("rank", "similarity", "seconds"):
        table.add_column(title, justify="right")
    table.add_column("file", overflow="fold")
    for rank, (row, value) in enumerate(zip(rows.tolist(), similarity.tolist(), strict=True), 1):
        time = shown_seconds(features.times[row])
        table.add_row(str(rank), f"{value:.4f}", time, features.name_of(row))
    console = wide_console()
    console.print(table)
    say(console, *lines)


def draw_results(
    query: Query,
    features: FeatureSet,
    rows: Int64[np.ndarray, " m"],
    similarity: Float32[np.ndarray, " m"],
    pictures: list[Image.Image],
    lines: list[str],
) -> Image.Image:
    """Return the contact sheet: the query, and below it the frames, the most similar first."""
    width, height = _TILE[0], max(picture.height for picture in pictures)
    step_x, step_y = width + SPACE, height + _CAPTION
    shown = query.picture
    shown.thumbnail(_QUERY)
    top = MARGIN + max(shown.height, 160) + 2 * SPACE
    num_rows = -(-len(pictures) // _COLUMNS)
    size = 2 * MARGIN + _COLUMNS * step_x - SPACE, top + num_rows * step_y + MARGIN
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    sheet.paste(shown, (MARGIN, MARGIN))
    left = MARGIN + shown.width + 2 * SPACE
    room = size[0] - MARGIN - left
    draw.text((left, MARGIN), "Query", TEXT, font(20))
    when = "" if query.seconds is None else f"at {shown_seconds(query.seconds)} s"
    for n, line in enumerate([query.name, when, "", *lines]):
        colour = TEXT if n == 0 else QUIET
        draw.text((left, MARGIN + 34 + 20 * n), shortened(in_ascii(line), room), colour, font())
    facts = zip(rows.tolist(), similarity.tolist(), pictures, strict=True)
    for n, (row, value, picture) in enumerate(facts):
        x, y = MARGIN + n % _COLUMNS * step_x, top + n // _COLUMNS * step_y
        place = x + (width - picture.width) // 2, y + (height - picture.height) // 2
        sheet.paste(picture, place)
        name = shortened(in_ascii(features.name_of(row)), width, size=12)
        draw.text((x, y + height + 4), name, TEXT, font(12))
        rank = f"{n + 1}.  similarity {value:.3f}"
        draw.text((x, y + height + 20), rank, QUIET, font(12))
        time = f"{shown_seconds(features.times[row])} s"
        draw.text((x + width, y + height + 20), time, QUIET, font(12), anchor="ra")
    return sheet
