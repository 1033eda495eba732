"""decord in a process of its own, where it may take stderr."""

from collections.abc import Callable

import numpy as np

from vidmoco.video.frames import Frames
from vidmoco.video.info import VideoInfo


def build_reader() -> Callable[[tuple[VideoInfo, list[float]]], Frames | None]:
    """Return what a worker does: decord's frames at growing times, or None where it declines."""
    from vidmoco.video.decord_reader import DecordReader

    reader = DecordReader()
    return lambda job: reader.read(job[0], np.array(job[1]))
