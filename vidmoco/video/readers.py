"""Which fast reader takes which video. Only in a process that may die of a decoder."""

from typing import Literal

import numpy as np

from vidmoco.config.limits import Limits
from vidmoco.shapes import Float64
from vidmoco.video.forward_reader import ForwardReader, reads_forward
from vidmoco.video.frames import FastReader, Frames
from vidmoco.video.info import VideoInfo

Decoder = Literal["auto", "decord", "pyav"]


def build_fast_reader(decoder: Decoder, limits: Limits) -> FastReader:
    """Return the fast reader of a worker process.

    Args:
        decoder: ``auto``: H.264 forward by PyAV, which measured 1.6 times as fast as decord, and
            the rest by decord, where it is right; ``decord``: all that it is right about, and other
            H.264 forward; ``pyav``: decord is not even loaded. The frames are the same.
        limits: what a video may be.
    """
    forward = ForwardReader(limits)
    if decoder == "pyav":
        return forward
    from vidmoco.video.decord_reader import DecordReader  # it takes stderr

    return _Choice(forward, DecordReader(), prefer_decord=decoder == "decord")


class _Choice:
    """One of two readers for each video, so that what one declines goes to the exact reader."""

    def __init__(self, forward: FastReader, decord: FastReader, *, prefer_decord: bool) -> None:
        self._forward, self._decord, self._prefer_decord = forward, decord, prefer_decord

    def read(self, video: VideoInfo, times: Float64[np.ndarray, " t"]) -> Frames | None:
        forward = reads_forward(video) and not (self._prefer_decord and video.route == "decord")
        return (self._forward if forward else self._decord).read(video, times)
