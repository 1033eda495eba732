"""``vidmoco explore``: pictures of features over time and in the plane, shots and duplicates."""

from pathlib import Path

import numpy as np
from rich.console import Console

from vidmoco.config.evaluation import ExploreCommand
from vidmoco.config.limits import Limits
from vidmoco.console import say, wide_console
from vidmoco.features.feature_set import FeatureSet, open_features
from vidmoco.progress import ProgressBar
from vidmoco.run_folder import make_writable_folder
from vidmoco.shapes import Float32, Int64
from vidmoco.visualize.display import print_left_out
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

MAX_COMPARED = 10_000  # frames compared each with each: 10 s of two cores at 2,048 numbers
_LAYOUTS = {
    "pca": "PCA: the first two principal components of the features, to the right and up.",
    "tsne": "t-SNE: frames with like features are near each other; distances between groups say "
    "nothing.",
}


def explore(command: ExploreCommand) -> int:
    """Write pictures and tables, print what they say, and return the exit code 0.

    Raises:
        ConfigError: features, output or a missing library.
        DataError: a file of features is damaged.
    """
    if command.layout == "tsne":
        require_tsne()
    features = open_features(command.features)
    folder = command.output.expanduser()
    make_writable_folder(folder, flag="-o")
    limits = command.limits
    console = wide_console()
    print_left_out(features.left_out)
    say(
        console,
        f"{features.num_rows:,} frames of {_num_videos(features):,} videos below {features.folder}",
    )
    shots = find_shots(features, step_similarities(features))
    rows = shot_rows(features, shots)
    write_csv(folder / "shots.csv", SHOT_COLUMNS, rows)
    say(
        console,
        "",
        f"Candidates of new shots, {LEAST_SCORE:g} times as unlike the frame before as is usual "
        f"there: {len(shots):,}",
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
    pairs = find_duplicates(
        unit, videos=videos, times=times, least=least, apart=command.duplicate_gap
    )
    rows = duplicate_rows(features, pairs, compared)
    write_csv(path, DUPLICATE_COLUMNS, rows)
    of = "" if len(compared) == features.num_rows else f", of {len(compared):,} frames"
    say(
        console,
        "",
        f"Candidates of near-duplicates, similarity {least:g} or more{of}: {len(pairs):,} pairs "
        "of videos",
    )
    print_first_rows(console, DUPLICATE_COLUMNS, rows)
    usual = usual_similarity(unit, videos)
    if usual is not None:
        say(console, f"Frames of different videos are alike at {usual:.2f} in the median.")
        if usual >= least:
            say(
                console,
                "So this backbone hardly tells videos apart, and duplicates say little; give a "
                "higher --duplicate-similarity.",
            )


def usual_similarity(
    unit: Float32[np.ndarray, "n d"], videos: Int64[np.ndarray, " n"]
) -> float | None:
    """Return the median cosine of frames of different videos; None where there is one video."""
    some = np.linspace(0, len(unit) - 1, min(len(unit), 1000)).round().astype(int)
    other = videos[some][:, None] != videos[some]
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
            f"{len(features.files):,} files, evenly taken (--max-videos).",
        )
    save_png(draw_similarity(features, numbers, shots), paths[0])
    rows = features.evenly(command.map_frames)
    if len(rows) < features.num_rows:
        say(
            console,
            "",
            f"{paths[2].name} is of {len(rows):,} of {features.num_rows:,} frames, evenly taken "
            "(--map-frames).",
        )
    sample = features.take(rows)
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
