"""Folders of numbered images as training data: each folder holds the frames of one video.

seq/a/00001.jpg  seq/a/00002.jpg  …  seq/b/00001.jpg  …
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from torch import Tensor

from vidmoco.data.image_corpus import ImageCorpus, open_image_corpus
from vidmoco.errors import ConfigError
from vidmoco.frames.prepared import shown_at
from vidmoco.shapes import Float32, Float64, Int64, UInt8
from vidmoco.text import first_of

_LEAST_FRAMES = 8  # assumption: fewer numbered images are no video


@dataclass(frozen=True)
class FrameFolders:
    """The images of folders as the frames of videos, with the interface of ``StoredFrames``."""

    images: ImageCorpus
    """Image files: those of one folder are beside each other, in the order of their frames."""
    frame_rate: float
    """Frames per second."""

    @cached_property
    def firsts(self) -> Int64[np.ndarray, " videos_and_1"]:
        """The index of each video's first frame, and the number of all frames."""
        folders = [Path(source).parent for source in self.images.sources]
        before = [None, *folders[:-1]]
        new = [folder != last for folder, last in zip(folders, before, strict=True)]
        return np.array([*np.flatnonzero(new), len(folders)])

    @cached_property
    def names(self) -> list[str]:
        """The names of the folders."""
        firsts = self.firsts[:-1].tolist()
        names = [str(PurePosixPath(self.images.names[k]).parent) for k in firsts]
        given = [Path(self.images.sources[k]).parent.name for k in firsts]
        return [own if name == "." else name for name, own in zip(names, given, strict=True)]

    @cached_property
    def durations(self) -> Float64[np.ndarray, " videos"]:
        """The durations of the videos, in seconds."""
        return np.asarray(np.diff(self.firsts) / self.frame_rate)

    @cached_property  # used for every pair
    def pts_seconds(self) -> Float64[np.ndarray, " frames"]:
        """The time of each frame, in seconds from the first frame of its video."""
        starts = np.repeat(self.firsts[:-1], np.diff(self.firsts))
        return np.asarray((np.arange(len(starts)) - starts) / self.frame_rate)

    @property
    def key(self) -> dict[str, Any]:
        """What identifies the frames, for a resume. Their rate is a setting of the run."""
        return self.images.key

    @property
    def aspect_ratios(self) -> Float32[np.ndarray, " some"]:
        """The width / height of evenly spaced frames."""
        return self.images.aspect_ratios

    def frame_at(self, video: int, seconds: float) -> int:
        """Return the index of the frame of a video that is shown at a time."""
        first, end = self.firsts[video], self.firsts[video + 1]
        return int(first) + shown_at(self.pts_seconds[first:end], seconds)

    def read(self, frame: int) -> UInt8[Tensor, "3 h w"]:
        """Return a frame.

        Raises:
            VideoError: it cannot be read.
        """
        return self.images.read(frame)

    def aspect_ratio(self, video: int, picture: UInt8[Tensor, "3 h w"]) -> float:
        """Return the width / height of a frame."""
        return self.images.aspect_ratio(video, picture)

    def with_least_side(self, pixels: int) -> "FrameFolders":
        """Return the same frames, of which large ones are decoded smaller."""
        return replace(self, images=self.images.with_least_side(pixels))


def open_images(
    sources: Sequence[Path], *, frame_rate: float | None
) -> tuple[FrameFolders | ImageCorpus | None, list[str]]:
    """Return the images of folders and Parquet files, and notes for the user.

    Args:
        sources: Folders or files.
        frame_rate: If the images of each folder are the frames of a video, in the order of the
            numbers in their names (``2.jpg`` before ``10.jpg``): their number a second.

    Returns:
        The images, or None if no source holds images.

    Raises:
        ConfigError: Some sources hold images, and others do not; or with a frame rate, they are not
            image files.
        DataError: A folder among those of images cannot be read.
    """
    images = open_image_corpus(sources)
    notes = [] if images is None or not images.not_read else [images.not_read]
    if frame_rate is not None:
        return _as_videos(images, frame_rate, given=sources[0]), notes
    if images is not None and (folders := _numbered(images)):
        notes.append(
            f"The images of {first_of(folders)} are numbered. If they are the frames of videos, "
            "give their rate, and pairs are made of them: --data.frame-rate 25"
        )
    return images, notes


def _as_videos(images: ImageCorpus | None, frame_rate: float, *, given: Path) -> FrameFolders:
    if images is None or not all(isinstance(source, Path) for source in images.sources):
        what = "holds no images" if images is None else "holds images in Parquet files"
        raise ConfigError(
            f"--data.frame-rate is {frame_rate:g}, but {given} {what}. It is for folders of image "
            "files, one folder a video; videos and prepared frames have their own times. Leave it "
            "out."
        )
    files = dict(zip(images.sources, images.names, strict=True))  # one source may hold another
    paths = sorted(files, key=_in_order)
    names = [files[path] for path in paths]
    return FrameFolders(replace(images, names=names, sources=paths), frame_rate)


def _in_order(path: Path) -> tuple[Path, list[str | int]]:
    parts = re.split(r"(\d+)", path.name)  # texts and numbers in turn
    return path.parent, [int(part) if k % 2 else part for k, part in enumerate(parts)]


def _numbered(images: ImageCorpus) -> list[str]:
    """Return the folders whose images look like the frames of a video."""
    folders: dict[str, list[str]] = {}
    for name in images.names:
        path = PurePosixPath(name)
        folders.setdefault(str(path.parent), []).append(path.stem)
    return [folder for folder, stems in folders.items() if _are_frames(stems)]


def _are_frames(stems: Sequence[str]) -> bool:
    """Return whether names end in numbers without gaps."""
    numbers = {int(found[1]) for stem in stems if (found := re.search(r"(\d+)$", stem))}
    is_dense = len(numbers) == len(stems) >= _LEAST_FRAMES
    return is_dense and max(numbers) - min(numbers) == len(numbers) - 1
