"""Features in files, their evaluation and their search."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from einops import rearrange
from rich.console import Console

from vidmoco.api.embed import PathLike, frozen_of
from vidmoco.api.pictures import Picture, rgb_picture
from vidmoco.backbones.frozen import FrozenBackbone
from vidmoco.backbones.source import require_source
from vidmoco.config.evaluation import EvaluateCommand, SearchCommand
from vidmoco.config.extract import ExtractCommand
from vidmoco.config.frame_selection import SELECTION_KEYS, selection_of
from vidmoco.config.plain import from_python, require_known
from vidmoco.errors import ConfigError
from vidmoco.evaluate.compare import evaluate as run_evaluation
from vidmoco.features.extract_command import Extracted, write_features
from vidmoco.features.extract_plan import plan_of
from vidmoco.features.torchrun_engine import speaks
from vidmoco.interrupt import stops_raise
from vidmoco.urls import absolute, absolute_paths, is_list
from vidmoco.visualize.query import Query
from vidmoco.visualize.search import find


def extract(
    videos: PathLike | Sequence[PathLike],
    output: PathLike,
    *,
    backbone: PathLike | FrozenBackbone | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Extracted:
    """Write what ``vidmoco extract`` writes: of one video a file, of many a dataset.

        done = vidmoco.extract("videos/", "feats/", backbone="runs/latest", fps=1)
        hits = vidmoco.search(done, "photo.jpg")

    The same call again extracts only what is missing, new or changed.

    Args:
        videos: A video, a folder of videos, a catalog, a URL of a video or ``@FILE``; or several.
            A list of one is several.
        output: A file (.npy or .parquet) for one video, or a dataset to add it to; for many a
            folder, or a URL of one.
        backbone: As for ``embed``.
        quiet: Print nothing.
        **settings: Which frames to take, as for ``embed`` (``fps``, ``num_frames``, ``times`` …),
            and further settings of ``vidmoco extract``, such as ``pool``, ``dtype="float16"``,
            ``format``, ``labels``, ``device``, ``engine``, ``limits={"max_duration": 9e4}``.

    Returns:
        What was written: its ``path``, a ``summary``, and in ``failed`` the reason by the name of
        each of many videos that could not be extracted.

    Raises:
        ConfigError: A setting, the backbone, a path or the output cannot be used.
        VideoError: The only video cannot be read.
        KeyboardInterrupt: A signal stopped it; the same call goes on. For SIGTERM, SIGHUP,
            SIGUSR1 and SIGUSR2 it is ``vidmoco.interrupt.Stopped``, with an ``exit_code``.
    """
    command = _extract_command(videos, output, settings)
    loaded = None
    if isinstance(backbone, FrozenBackbone):
        if command.engine != "local":
            raise ConfigError(
                f"A backbone that is loaded works in this process, and engine is "
                f"{command.engine!r}. Name the backbone."
            )
        own = ("size", "crop_mode", "precision", "feature")
        given = {name: settings[name] for name in own if name in settings}
        loaded = frozen_of(backbone, device=command.device, **given)
    elif backbone is not None:
        command = replace(command, backbone=os.fspath(backbone))
    console = Console(stderr=True, quiet=quiet or not speaks())
    with stops_raise():  # rows are kept, fetched videos deleted, and other processes told
        plan = plan_of(command, progress=not quiet)
        return write_features(command, plan, console=console, loaded=loaded)


def _extract_command(
    videos: PathLike | Sequence[PathLike], output: PathLike, settings: dict[str, Any]
) -> ExtractCommand:
    """Return the settings of an extraction; those of its frames are among ``settings``."""
    frames = {name: settings[name] for name in SELECTION_KEYS if name in settings}
    rest = {name: value for name, value in settings.items() if name not in frames}
    require_known(ExtractCommand, rest, call=extract, short=SELECTION_KEYS, without=("frames",))
    given = {
        "videos": absolute_paths(videos),
        "output": output,
        "frames": selection_of(frames),
    }
    command = from_python(ExtractCommand, given | rest)
    if _is_several(videos) and command.format is None:  # also where it has one
        command = replace(command, format="parquet" if command.suffix is None else "npy")
    return replace(command, output=absolute(command.output))  # the result is read later


def _is_several(videos: PathLike | Sequence[PathLike]) -> bool:
    """Return whether a list of videos is given, in Python, as ``@FILE`` or as a pattern."""
    return not isinstance(videos, str | os.PathLike) or is_list(Path(videos))


def evaluate(
    images: PathLike,
    backbones: PathLike | FrozenBackbone | Sequence[PathLike | FrozenBackbone],
    *,
    output: PathLike | None = None,
    quiet: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Compare frozen backbones on labelled images, by k-NN and a linear probe.

    Args:
        images: A folder with train/ and val/, or with Parquet files, or of labelled videos.
        backbones: One or several: runs, backbone folders, timm names, ``random``, ``random:NAME``.
            What ``load_frozen`` returned stands for its source, which is loaded again.
        output: A JSON file for the results. The default writes none.
        quiet: Print nothing.
        **settings: Further settings of ``vidmoco evaluate``, such as ``k=20``, ``linear=False``,
            ``few_shot=(0.1,)``, ``device="cpu"``.

    Returns:
        What ``vidmoco evaluate`` writes: ``rows`` has an entry per backbone, with its accuracies in
        percent.

    Raises:
        ConfigError: A setting, path or backbone cannot be used.
        DataError: The images cannot be used.
    """
    several: Any = backbones
    one = isinstance(several, str | os.PathLike | FrozenBackbone)
    if one or not isinstance(several, Iterable):
        several = [several]
    loaded = {one.source: one for one in several if isinstance(one, FrozenBackbone)}
    names = [_named(one) for one in several]
    for name in names:
        require_source(name)
    given = {"images": images, "backbone": names, "output": output} | settings
    return run_evaluation(
        from_python(EvaluateCommand, given, call=evaluate),
        console=Console(stderr=True, quiet=True) if quiet else None,
        output=Console(quiet=True) if quiet else None,
        writes=output is not None,
        loaded=loaded,
    )


def search(
    features: PathLike,
    query: PathLike | Picture,
    *,
    backbone: PathLike | FrozenBackbone | None = None,
    quiet: bool = False,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Return the frames most similar to an image or a frame, the most similar first.

    Args:
        features: What ``vidmoco extract`` wrote: a file or a folder.
        query: An image, or a video with a time in seconds: ``clip.mp4@12.5``. Or a picture as
            ``embed`` takes it: an image of PIL, or an array or tensor, uint8 RGB (H, W, 3).
        backbone: The one that made the features, if it has moved. What ``load_frozen`` returned
            stands for its source. The default is the path that the features name.
        quiet: Print nothing.
        **settings: Further settings of ``vidmoco search``: ``top``, ``per_video``, ``min_gap``,
            ``device``, ``limits``.

    Returns:
        Dicts of ``video`` (its path), ``seconds`` and ``similarity`` (the cosine).

    Raises:
        ConfigError: Features, query or backbone cannot be used.
        DataError: The image or a file of features is damaged.
        VideoError: The video of the query cannot be read.
    """
    picture = None
    if isinstance(query, Picture):
        pixels = rearrange(rgb_picture(query, "The query"), "c h w -> h w c").numpy()
        picture, query = Query("the query", pixels), "-"
    given = {"features": features, "query": query, "backbone": _named(backbone)} | settings
    console = Console(stderr=True, quiet=quiet)
    hits = find(from_python(SearchCommand, given, call=search), query=picture, console=console)
    return [
        {
            "video": str(hits.features.file_of(row).source),
            "seconds": float(hits.features.times[row]),
            "similarity": float(similarity),
        }
        for row, similarity in zip(hits.rows.tolist(), hits.similarity, strict=True)
    ]


def _named(backbone: Any) -> Any:
    """Return the source in place of a backbone that is loaded."""
    return backbone.source if isinstance(backbone, FrozenBackbone) else backbone
