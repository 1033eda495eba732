"""``vidmoco explore``: pictures of features over time and in the plane, shots, duplicates."""

from pathlib import Path

import numpy as np
from rich.console import Console

from vidmoco.config.evaluation import ExploreCommand
from vidmoco.config.limits import Limits
from vidmoco.console import say, wide_console
from vidmoco.features.feature_set import FeatureSet, open_features
from vidmoco.progress import ProgressBar
from vidmoco.run_folder import make_writable_folder
from vidmoco.shapes import Float32, Float64, Int64
from vidmoco.text import counted
from vidmoco.urls import expanded
from vidmoco.visualize.display import print_left_out, print_note
from vidmoco.visualize.duplicates import find_duplicates
from vidmoco.visualize.frame_map import draw_map
from vidmoco.visualize.layout import layout_2d, require_tsne
from vidmoco.visualize.png_file import save_png
from vidmoco.visualize.shots import LEAST_SCORE, Shot, find_shots, step_similarities
from vidmoco.visualize.similarity_picture import draw_similarity
from vidmoco.visualize.strip_picture import draw_strip
from vidmoco.visualize.tables import (
    DUPLICATE_COLUMNS,
    SHOT_COLUMNS,
    duplicate_rows,
    print_first_rows,
    shot_rows,
    write_csv,
)
from vidmoco.visualize.thumbnails import gone_line

MAX_COMPARED = 10_000  # frames compared with each other: 10 s of two cores at 2,048 numbers
_LAYOUTS = {
    "pca": "PCA: the first principal component to the right, the second upwards.",
    "tsne": "t-SNE: frames with similar features are near each other; distances between groups "
    "mean nothing.",
}


def explore(command: ExploreCommand) -> int:
    """Write pictures and tables, print a summary, and return exit code 0.

    Raises:
        ConfigError: features or output cannot be used, or a library is missing.
        DataError: a file of features is damaged.
    """
    if command.layout == "tsne":
        require_tsne()
    features = open_features(command.features)
    folder = expanded(command.output)
    make_writable_folder(folder, flag="-o")
    limits = command.limits
    console = wide_console()
    print_left_out(features.left_out)
    of = f"{counted(features.num_rows, 'frame')} of {counted(_num_videos(features), 'video')}"
    say(console, f"{of} below {features.folder}")
    shots = find_shots(features, step_similarities(features))
    rows = shot_rows(features, shots)
    write_csv(folder / "shots.csv", SHOT_COLUMNS, rows)
    say(
        console,
        "",
        f"Candidates of new shots, which differ at least {LEAST_SCORE:g} times as much from the "
        f"previous frame as the frames around them: {len(shots):,}",
    )
    print_first_rows(console, SHOT_COLUMNS, rows)
    _report_duplicates(features, command, folder / "duplicates.csv", console)
    paths = _draw(features, shots, command, folder, limits)
    say(console, "", *paths, folder / "shots.csv", folder / "duplicates.csv")
    return 0


def _report_duplicates(
    features: FeatureSet, command: ExploreCommand, path: Path, console: Console
) -> None:
    compared = features.evenly(MAX_COMPARED)
    unit, videos = features.take(compared), features.videos[compared]
    times = features.times[compared]
    least = command.duplicate_similarity
    found = find_duplicates(
        unit, videos=videos, times=times, least=least, apart=command.duplicate_gap
    )
    rows = duplicate_rows(features, found.pairs, compared)
    write_csv(path, DUPLICATE_COLUMNS, rows)
    among = "" if len(compared) == features.num_rows else f" among {len(compared):,} frames,"
    say(
        console,
        "",
        f"Candidates of near-duplicates{among} of similarity {least:g} or more: "
        f"{counted(found.num_found - found.num_within, 'pair')} of videos, and "
        f"{counted(found.num_within, 'video')} with similar frames far apart"
        + f"; {path.name} has the {len(rows):,} most similar ones"
        * (len(rows) < found.num_found),
    )
    print_first_rows(console, DUPLICATE_COLUMNS, rows)
    apart = min(command.duplicate_gap, float(np.ptp(times)) / 2)
    of, what = "of different videos", "videos"
    if len(np.unique(videos)) == 1:
        of, what = f"at least {apart:.3g} s apart", "the frames of this video"
    usual = usual_similarity(unit, videos, times, apart=apart)
    if usual is not None:
        say(console, f"The median similarity of frames {of} is {usual:.2f}.")
        if usual >= least:
            say(
                console,
                f"This backbone hardly tells {what} apart, so the duplicates mean little. Give a "
                "higher --duplicate-similarity.",
            )


def usual_similarity(
    unit: Float32[np.ndarray, "n d"],
    videos: Int64[np.ndarray, " n"],
    times: Float64[np.ndarray, " n"],
    *,
    apart: float,
) -> float | None:
    """Return the median cosine of frames of different videos, or None if there is one frame.

    Of a single video it is that of frames at least ``apart`` seconds apart.
    """
    some = np.linspace(0, len(unit) - 1, min(len(unit), 1000)).round().astype(int)
    other = videos[some][:, None] != videos[some]
    if not other.any():
        gaps = np.abs(times[some][:, None] - times[some])
        other = (gaps >= apart) & (gaps > 0)
    return float(np.median((unit[some] @ unit[some].T)[other])) if other.any() else None


def _draw(
    features: FeatureSet,
    shots: list[Shot],
    command: ExploreCommand,
    folder: Path,
    limits: Limits,
) -> list[Path]:
    """Write the pictures; return their paths."""
    console = wide_console()
    paths = [folder / name for name in ("similarity.png", "strip.png", "map.png")]
    count = min(len(features.files), command.max_videos)
    numbers = np.linspace(0, len(features.files) - 1, count).round().astype(int).tolist()
    if len(numbers) < len(features.files):
        say(
            console,
            "",
            f"{paths[0].name} and {paths[1].name} show {len(numbers)} of "
            f"{len(features.files):,} files, evenly chosen (--max-videos).",
        )
    save_png(draw_similarity(features, numbers, shots), paths[0])
    rows = features.evenly(command.map_frames)
    if len(rows) < features.num_rows:
        say(
            console,
            "",
            f"{paths[2].name} has {len(rows):,} of {features.num_rows:,} frames, evenly chosen "
            "(--map-frames).",
        )
    sample = features.take(rows)
    shown = [features.files[n] for n in numbers] + [features.file_of(n) for n in rows.tolist()]
    print_note(gone_line(shown))
    with _bar("strip") as bar:
        strip = draw_strip(features, numbers, shots, sample, limits=limits, on_read=bar.advance)
    save_png(strip, paths[1])
    points = layout_2d(sample, kind=command.layout, seed=command.seed)
    with _bar("map") as bar:
        picture = draw_map(
            features,
            rows,
            points,
            lines=[_LAYOUTS[command.layout]],
            limits=limits,
            on_read=bar.advance,
        )
    save_png(picture, paths[2])
    return paths


def _bar(what: str) -> ProgressBar:
    return ProgressBar(Console(stderr=True), what, total=None)


def _num_videos(features: FeatureSet) -> int:
    return int(features.video_of_file.max()) + 1
