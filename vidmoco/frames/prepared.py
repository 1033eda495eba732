"""Prepared frames: random access to any frame, by reading a few kilobytes and decoding JPEG."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vidmoco.errors import ConfigError, VideoError
from vidmoco.frames import jpeg
from vidmoco.frames.index import FRAME_COLUMNS, VideoRow, shard_name
from vidmoco.frames.store import Store, damaged_shards, open_index
from vidmoco.shapes import Float32, Float64, UInt8


def shown_at(pts_seconds: Float64[np.ndarray, " t"], seconds: float) -> int:
    """Return the index of the frame shown at a time: the last that began at or before it."""
    return max(int(np.searchsorted(pts_seconds, seconds, side="right")) - 1, 0)


@dataclass(frozen=True)
class PreparedFrames:
    """The frames of a prepared folder, and their places. Videos without frames are left out."""

    store: Store
    key: dict[str, Any]
    videos: list[VideoRow]
    firsts: np.ndarray
    """The index of each video's first frame, and the number of all frames."""
    columns: dict[str, np.ndarray]

    @property
    def pts_seconds(self) -> Float64[np.ndarray, " frames"]:
        """The time of each frame, in seconds from the first frame of its video."""
        return self.columns["pts_seconds"]

    def aspect_ratio(self, video: int, picture: UInt8[Tensor, "3 h w"]) -> float:
        """Return the displayed width / height of a video."""
        return self.videos[video].aspect_ratio

    @property
    def durations(self) -> Float64[np.ndarray, " n"]:
        """The durations of the videos, in seconds."""
        return np.array([video.duration_seconds for video in self.videos], dtype=np.float64)

    @property
    def names(self) -> list[str]:
        """The names of the videos."""
        return [video.name for video in self.videos]

    @property
    def aspect_ratios(self) -> Float32[np.ndarray, " n"]:
        """The displayed width / height of the videos."""
        return np.array([video.aspect_ratio for video in self.videos], dtype=np.float32)

    def frame_at(self, video: int, seconds: float) -> int:
        """Return the index of the frame of a video that is shown at a time."""
        first, end = self.firsts[video], self.firsts[video + 1]
        return int(first) + shown_at(self.pts_seconds[first:end], seconds)

    def read(self, frame: int) -> UInt8[Tensor, "3 h w"]:
        """Return a frame.

        Raises:
            VideoError: its bytes cannot be read, or do not match their checksum.
        """
        shard, offset, length = (int(self.columns[n][frame]) for n in ("shard", "offset", "length"))
        try:
            data = self.store.read(shard, offset, length)
        except OSError as error:
            raise VideoError(f"{self.store.where}/{shard_name(shard)}: {error}") from error
        if zlib.crc32(data) != self.columns["crc32"][frame]:
            raise VideoError(
                f"{self.store.where}/{shard_name(shard)} is damaged at byte {offset:,}"
            )
        return jpeg.decode(data)


def open_prepared(source: Path) -> PreparedFrames:
    """Open a prepared folder, and check its shards.

    Raises:
        ConfigError: a part of it is missing, damaged, or of another version.
    """
    store = Store(source)
    index = open_index(source, store)
    store.check_ranges()
    for shard, state in damaged_shards(store, index).items():
        raise ConfigError(
            f"{store.where}/{shard_name(shard)} {state}. Restore it, or give the same `vidmoco "
            "prepare` command again, which prepares its videos again."
        )
    counts = [video.num_frames for video in index.videos]
    firsts = np.cumsum([0, *(count for count in counts if count)])
    columns = {name: index.frames[name].to_numpy() for name in FRAME_COLUMNS}
    videos = [video for video in index.videos if video.num_frames]
    if not videos:
        raise ConfigError(f"{store.where} holds no frames.")
    return PreparedFrames(store, index.key, videos, firsts, columns)
