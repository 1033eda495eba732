"""Refuse judges that show what the trainings have seen, whose accuracy would be too high.

Videos are the same if their file names and sizes are equal; frames that `tools/labelled_frames.py`
wrote have the names of their videos. Images are the same if their files are equal byte for byte.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from vidmoco.ablation.plan import Judge, Plan
from vidmoco.data.image_corpus import ImageCorpus, open_image_corpus
from vidmoco.errors import ConfigError, DataError
from vidmoco.frames.prepared import open_prepared
from vidmoco.frames.store import is_prepared
from vidmoco.images.folders import holds_videos
from vidmoco.images.labelled import LabelledImages, load_labelled_images
from vidmoco.images.torchvision import TorchvisionImages
from vidmoco.text import counted
from vidmoco.urls import absolute_paths, require_paths
from vidmoco.video.open_catalog import open_catalog

Video = tuple[str, int]
"""The file name of a video, and its size in bytes."""


def require_no_overlap(plan: Plan) -> None:
    """Compare each judge with the videos or images of all trainings.

    Raises:
        ConfigError: a judge shows some of them, or videos or images cannot be found.
        DataError: a judge's images cannot be used.
    """
    require_paths(*(judge.command("random").images for judge in plan.judges))
    trained = {row.config.videos for row in plan.rows if not row.frozen}
    for sources in trained:
        require_paths(*sources)
        paths = tuple(absolute_paths(sources))
        images = None if any(map(is_prepared, paths)) else open_image_corpus(paths)
        videos = None if images else _videos(paths)
        for judge in plan.judges:
            if judge.overlap:
                continue
            what = "image" if images else "video"
            found = _shared_images(judge, images) if images else _shared(judge, videos or set())
            if found:
                raise ConfigError(
                    f"judge {judge.name!r} shows {counted(len(found), what)} of the training, such "
                    f"as {found[0]!r}, so its accuracy would be too high. Train without them, or "
                    "write `overlap: true` there, and say so beside the numbers."
                )


def _videos(paths: Iterable[Path]) -> set[Video]:
    prepared = [path for path in paths if is_prepared(path)]
    if prepared:
        return {
            (PurePosixPath(row.name).name, row.num_bytes)
            for path in prepared
            for row in open_prepared(path).videos
        }
    return {(row.path.name, row.num_bytes) for row in open_catalog(list(paths)).rows()}


def _shared(judge: Judge, trained: set[Video]) -> list[str]:
    """Return the videos of a judge that are trained on."""
    command = judge.command("random")
    is_images = command.torchvision is not None or not command.images.is_dir()
    if command.videos.labels is not None or (not is_images and holds_videos(command.images)):
        return sorted(name for name, _ in trained & _videos([command.images]))
    shown = {PurePosixPath(name).name for name in _val_images(judge).videos or ()}
    return sorted(shown & {name for name, _ in trained})


def _shared_images(judge: Judge, corpus: ImageCorpus) -> list[str]:
    """Return the images that a judge asks for and that are trained on."""
    val = _val_images(judge)
    if isinstance(val.source, TorchvisionImages):
        return []
    sizes = val.source.sizes()[np.asarray(val.rows, dtype=np.int64)]
    asked: dict[bytes, str] = {}
    for row, name in zip(val.rows, val.names, strict=True):
        try:
            asked[hashlib.sha256(val.source.read(row)).digest()] = name
        except DataError:  # the evaluation reports it
            continue
    return sorted(
        asked[digest] for digest in corpus.hashes_of_size(set(sizes.tolist())) if digest in asked
    )


def _val_images(judge: Judge) -> LabelledImages:
    command = judge.command("random")
    return load_labelled_images(
        command.images,
        max_train_per_class=command.max_train_per_class,
        seed=command.seed,
        label_column=command.label_column,
        torchvision=command.torchvision,
    )[1]
