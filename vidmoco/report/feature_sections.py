"""Sections of features: a map of frames, and nearest neighbours."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from vidmoco.errors import ConfigError
from vidmoco.features.feature_set import FeatureSet
from vidmoco.report.markup import Section, picture, render
from vidmoco.report.sprite_sheet import sprite_sheet
from vidmoco.shapes import Float32, Int64
from vidmoco.visualize.display import print_note
from vidmoco.visualize.frame_map import video_colour
from vidmoco.visualize.layout import in_unit_square, layout_2d, require_tsne, snap_to_grid
from vidmoco.visualize.neighbours import nearest_rows, similarities
from vidmoco.visualize.thumbnails import gone_line, thumbnails

MAP_FRAMES = 400
_COLUMNS, _ROWS = 14, 9
_MAP_BOX, _SHEET_BOX = (96, 72), (144, 108)
_QUERIES, _NEIGHBOURS = 6, 6
_MIN_GAP = 2.0  # seconds between neighbours of one video; closer frames look the same


def feature_sections(features: FeatureSet) -> list[Section]:
    """Return the map of the frames and the sheet of nearest neighbours.

    A line on standard error says how many of their videos have no pictures any more.

    Raises:
        DataError: a feature file is damaged.
    """
    rows = features.evenly(MAP_FRAMES)
    lines, similarity = _neighbours(features)
    shown = np.concatenate([rows, *lines])
    print_note(gone_line(features.file_of(row) for row in shown.tolist()))
    return [_map_section(features, rows), _neighbour_section(features, lines, similarity)]


def _map_section(features: FeatureSet, rows: Int64[np.ndarray, " m"]) -> Section:
    try:
        require_tsne()
        kind, how = "tsne", "t-SNE (neighbours are similar, distances of groups mean little)"
    except ConfigError:
        kind, how = "pca", "their first two principal components"
    points = layout_2d(features.take(rows), kind=kind)  # type: ignore[arg-type]
    drawn, cells = snap_to_grid(points, columns=_COLUMNS, rows=_ROWS)
    cell_of = dict(zip(drawn.tolist(), (cells + 1).tolist(), strict=True))
    order = [*cell_of, *(n for n in range(len(rows)) if n not in cell_of)]
    places = in_unit_square(points)
    sheet = sprite_sheet(thumbnails(features, rows[order], box=_MAP_BOX), box=_MAP_BOX)
    tiles = [
        {
            "box": " ".join(map(str, box)),
            "title": place_of(features, row),
            "cell": cell_of.get(n),
            "at": "{:.4f} {:.4f}".format(*places[n]),
            "video": features.videos[row],
            "colour": "#{:02x}{:02x}{:02x}".format(*video_colour(int(features.videos[row]))),
        }
        for n, row, box in zip(order, rows[order].tolist(), sheet.boxes, strict=True)
    ]
    jpeg = base64.b64encode(sheet.jpeg).decode()
    foot = f"{len(drawn)} of the {len(rows)} frames find a cell." if len(drawn) < len(rows) else ""
    box = render("map", tiles=tiles, columns=_COLUMNS, jpeg=jpeg, size=sheet.size, foot=foot)
    lead = (
        f"{len(rows)} of {features.num_rows:,} frames of {len(np.unique(features.videos)):,} "
        f"videos, placed by {how}. The features are of {_backbone(features)}. Point at a frame to "
        "see its video and time."
    )
    return Section("Map of the frames", [box], lead, short="Frame map")


def _neighbours(
    features: FeatureSet,
) -> tuple[list[Int64[np.ndarray, " _"]], Float32[np.ndarray, "q n"]]:
    """Return rows of a query and its neighbours for each of some queries, and all similarities."""
    queries = _spread(features)
    found = similarities(features, features.take(queries))
    one_video = len(np.unique(features.videos)) == 1
    lines: list[Int64[np.ndarray, " m"]] = []
    for row, similarity in zip(queries.tolist(), found, strict=True):
        left_out = features.videos == features.videos[row]
        if one_video:  # leave out only frames near in time
            left_out &= np.abs(features.times - features.times[row]) < _MIN_GAP
        near = nearest_rows(
            np.where(left_out, -np.inf, similarity).astype(np.float32),
            videos=features.videos, times=features.times, top=_NEIGHBOURS, min_gap=_MIN_GAP,
            per_video=None if one_video else 1,
        )  # fmt: skip
        lines.append(np.array([row, *near.tolist()], dtype=np.int64))
    return lines, found


def _neighbour_section(
    features: FeatureSet,
    lines: list[Int64[np.ndarray, " _"]],
    found: Float32[np.ndarray, "q n"],
) -> Section:
    one_video = len(np.unique(features.videos)) == 1
    pictures = iter(thumbnails(features, np.concatenate(lines), box=_SHEET_BOX))
    sheet = [
        [
            {
                "picture": _tile(features, row, next(pictures)),
                "place": place_of(features, row),
                "similarity": float(found[number, row]),
            }
            for row in line.tolist()
        ]
        for number, line in enumerate(lines)
    ]
    box = render("neighbours", lines=sheet)
    where = "at other times" if one_video else "of other videos"
    lead = f"A frame (left) and the most similar frames {where}, by cosine."
    return Section("Nearest neighbours", [box], lead)


def _spread(features: FeatureSet) -> Int64[np.ndarray, " q"]:
    """Return the middle frames of a few evenly chosen videos, or frames all along a single one."""
    owners = np.unique(features.videos)
    if len(owners) == 1:
        return features.evenly(_QUERIES)
    chosen = owners[np.linspace(0, len(owners) - 1, min(_QUERIES, len(owners))).round().astype(int)]
    rows = [np.flatnonzero(features.videos == owner) for owner in chosen]
    return np.array([some[len(some) // 2] for some in rows], dtype=np.int64)


def place_of(features: FeatureSet, row: int) -> str:
    """Return the video and time of a frame as text."""
    return f"{features.name_of(row)} at {features.times[row]:.2f} s"


def _tile(features: FeatureSet, row: int, image: Image.Image) -> Markup:
    return picture(image, alt=place_of(features, row))


def _backbone(features: FeatureSet) -> str:
    sidecar: dict[str, Any] = features.files[0].sidecar
    known: Sequence[str] = [str(sidecar[k]) for k in ("backbone", "architecture") if k in sidecar]
    return known[0] if known else "an unnamed backbone"
