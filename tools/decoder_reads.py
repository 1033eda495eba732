"""How each decoder reads a frame, for ``compare_decoders.py``: its processes import this file."""

from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np

from vidmoco.config.limits import DEFAULT_LIMITS
from vidmoco.video.info import VideoInfo


@dataclass(frozen=True)
class Pick:
    """A requested frame: the ``index``-th shown frame, at ``seconds``."""

    video: VideoInfo
    index: int
    seconds: float


def build_vidmoco() -> Callable[[Pick], np.ndarray]:
    """Read a frame by its time, as a training does."""
    from vidmoco.video.decode import read_frames
    from vidmoco.video.readers import build_fast_reader

    fast = build_fast_reader("auto", DEFAULT_LIMITS)
    return lambda pick: read_frames(pick.video, [pick.seconds], fast=fast).images[0]


def build_decord() -> Callable[[Pick], np.ndarray]:
    """Read a frame by its index."""
    import torch  # noqa: F401  before decord
    from decord import VideoReader, logging

    logging.set_level(logging.QUIET)
    return lambda pick: VideoReader(str(pick.video.path), num_threads=1)[pick.index].asnumpy()


def build_naive_pyav() -> Callable[[Pick], np.ndarray]:
    """Seek, and decode up to the time."""

    def read(pick: Pick) -> np.ndarray:
        with av.open(str(pick.video.path)) as container:
            stream = container.streams.video[0]
            wanted = pick.seconds - 0.01 + float((stream.start_time or 0) * stream.time_base)
            container.seek(int(wanted / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if frame.time is not None and frame.time >= wanted:
                    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
        raise ValueError("no frame")

    return read


def build_torchcodec() -> Callable[[Pick], np.ndarray]:
    """Read a frame by its index, with torchcodec's exact seek mode."""
    from torchcodec.decoders import VideoDecoder

    def read(pick: Pick) -> np.ndarray:
        decoder = VideoDecoder(str(pick.video.path), dimension_order="NHWC", num_ffmpeg_threads=1)
        return decoder[pick.index].numpy()

    return read
