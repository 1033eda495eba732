"""Refuse judges that show what the trainings have seen, whose accuracy would be too high.

Videos and images are known by their content, whatever they are called. A prepared folder knows only
names and sizes of its videos, and frames from `tools/labelled_frames.py` only their names: there a
copy under another name is not found.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path, PurePosixPath

from vidmoco.ablation.plan import Judge, Plan
from vidmoco.content import hash_of_bytes
from vidmoco.data.image_corpus import open_image_corpus
from vidmoco.errors import ConfigError, DataError
from vidmoco.frames.prepared import open_prepared
from vidmoco.frames.store import is_prepared
from vidmoco.images.folders import holds_videos
from vidmoco.images.labelled import LabelledImages
from vidmoco.images.load import load_labelled_images
from vidmoco.images.torchvision import TorchvisionImages
from vidmoco.text import counted
from vidmoco.urls import absolute_paths, require_paths
from vidmoco.video.info import VideoInfo
from vidmoco.video.open_catalog import open_catalog


def require_no_overlap(plan: Plan) -> None:
    """Compare each judge with the videos or images of all trainings.

    Raises:
        ConfigError: a judge shows some of them, or videos or images cannot be found.
        DataError: a judge's images cannot be used.
    """
    require_paths(*(judge.command("random").images for judge in plan.judges))
    for sources in {row.config.videos for row in plan.rows if not row.frozen}:
        require_paths(*sources)
        paths = absolute_paths(sources)
        images = None if any(map(is_prepared, paths)) else open_image_corpus(paths)
        if images is not None:
            what, look = "image", partial(_shared_images, trained=set(images.contents()))
        else:
            trained, identity = _trained(paths)
            what, look = "video", partial(_shared, trained=trained, identity=identity)
        for judge in plan.judges:
            found = [] if judge.overlap else look(judge)
            if found:
                raise ConfigError(
                    f"judge {judge.name!r} shows {counted(len(found), what)} of the training, such "
                    f"as {found[0]!r}, so its accuracy would be too high. Train without them, or "
                    "write `overlap: true` there, and say so beside the numbers."
                )


def _trained(paths: Sequence[Path]) -> tuple[dict[str, str], Callable[[VideoInfo], str]]:
    """Return the names of the trained videos by their identity, and that of a video."""
    prepared = [path for path in paths if is_prepared(path)]
    if prepared:
        rows = [row for path in prepared for row in open_prepared(path).videos]
        names = {_name_and_size(row.name, row.num_bytes): row.name for row in rows}
        return names, lambda row: _name_and_size(row.key, row.num_bytes)
    videos = open_catalog(paths).readable().rows()
    return {row.content: row.key for row in videos}, lambda row: row.content


def _name_and_size(name: str, num_bytes: int) -> str:
    return f"{PurePosixPath(name).name}, {num_bytes} bytes"


def _shared(
    judge: Judge, trained: Mapping[str, str], identity: Callable[[VideoInfo], str]
) -> list[str]:
    """Return the videos of a judge that are trained on."""
    command = judge.command("random")
    is_images = command.torchvision is not None or not command.images.is_dir()
    if command.videos.labels is not None or (not is_images and holds_videos(command.images)):
        rows = open_catalog([command.images]).readable().rows()
        return sorted(row.key for row in rows if identity(row) in trained)
    shown = {PurePosixPath(name).name for name in _val_images(judge).videos or ()}
    return sorted(shown & {PurePosixPath(name).name for name in trained.values()})


def _shared_images(judge: Judge, trained: Set[str]) -> list[str]:
    """Return the images that a judge asks for and that are trained on."""
    val = _val_images(judge)
    if isinstance(val.source, TorchvisionImages):
        return []
    found = []
    for row, name in zip(val.rows, val.names, strict=True):
        try:
            if hash_of_bytes(val.source.read(row)) in trained:
                found.append(name)
        except DataError:  # the evaluation reports it
            continue
    return sorted(found)


def _val_images(judge: Judge) -> LabelledImages:
    command = judge.command("random")
    return load_labelled_images(
        command.images,
        max_train_per_class=command.max_train_per_class,
        seed=command.seed,
        label_column=command.label_column,
        torchvision=command.torchvision,
        val_share=command.val_share,
    )[1]
