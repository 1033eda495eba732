"""Frames at given times of videos, as inputs of a backbone. The monitor reads them once.

Videos are read in processes that a video may kill, prepared frames in threads. A frame that cannot
be read has a reason, and no replacement.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from einops import rearrange

from vidmoco.backbones.preprocess import Preprocess, resize_and_crop
from vidmoco.config.limits import Limits
from vidmoco.data.loader import settled
from vidmoco.data.prepared_loader import StoredFrames
from vidmoco.data.sampling import Moment
from vidmoco.errors import VideoError
from vidmoco.shapes import Float64, UInt8
from vidmoco.video.catalog import Catalog
from vidmoco.video.info import VideoInfo
from vidmoco.video.readers import Decoder
from vidmoco.video.requests import Request, read_requests


@dataclass(frozen=True)
class MomentFrames:
    """Frames of one video, at the times of a moment and in their order."""

    images: UInt8[np.ndarray, "t 3 s s"]
    """As ``resize_and_crop`` makes them. An array: a pipe takes no tensor without shared memory."""
    pts_seconds: Float64[np.ndarray, " t"]
    """When each began to be shown, from the first shown frame of the video."""


def read_moments(
    catalog: Catalog,
    moments: Sequence[Moment],
    *,
    preprocess: Preprocess,
    workers: int,
    limits: Limits,
    decoder: Decoder = "auto",
) -> list[MomentFrames | str]:
    """Return the frames of each moment, or why they cannot be read.

    Args:
        catalog: readable videos.
        moments: times of its rows, in any order.
        preprocess: of the backbone.
        workers: processes; with 0 this one decodes (``read_requests``).
        limits: what a video may be and cost.
        decoder: what reads which video (``build_fast_reader``).
    """
    answers = read_requests(
        [Request(catalog[moment.row], moment.times) for moment in moments],
        convert=partial(_inputs, preprocess),
        workers=workers,
        decoder=settled(decoder, catalog) if workers else decoder,
        limits=limits,
        with_torch=True,
    )
    return [
        answer.failure or MomentFrames(np.array(answer.images), np.array(answer.pts_seconds))
        for answer in answers
    ]


def read_stored_moments(
    frames: StoredFrames, moments: Sequence[Moment], *, preprocess: Preprocess, workers: int
) -> list[MomentFrames | str]:
    """Return the prepared frames of each moment, or why they cannot be read, by threads."""

    def read(moment: Moment) -> MomentFrames | str:
        shown = [frames.frame_at(moment.row, time) for time in moment.times]
        images = []
        try:
            for frame in shown:
                picture = frames.read(frame)
                aspect_ratio = frames.aspect_ratio(moment.row, picture)
                images.append(resize_and_crop(picture, preprocess, aspect_ratio=aspect_ratio))
        except (VideoError, RuntimeError) as error:  # RuntimeError: libjpeg's
            return str(error)
        return MomentFrames(torch.stack(images).numpy(), frames.pts_seconds[shown])

    with ThreadPoolExecutor(max(workers, 1), thread_name_prefix="read frames") as threads:
        return list(threads.map(read, moments))


def _inputs(
    preprocess: Preprocess, video: VideoInfo, images: UInt8[np.ndarray, "t h w 3"]
) -> UInt8[np.ndarray, "t 3 s s"]:
    """Return the inputs of a backbone, made in a worker."""
    aspect_ratio = video.aspect_ratio if video.sample_aspect_ratio != 1 else None
    pictures = rearrange(torch.from_numpy(images), "t h w c -> t c h w")
    return resize_and_crop(pictures, preprocess, aspect_ratio=aspect_ratio).numpy()
