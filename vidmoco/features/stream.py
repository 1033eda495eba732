"""Features of videos as a stream in memory; ``extract`` writes it to files.

videos ──BatchReader──▶ images ──backbone──▶ features ──pool──▶ rows ──normalize──▶ pieces
"""

import math
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vidmoco.backbones.frozen import FrozenBackbone, features_of
from vidmoco.config.frame_selection import TOLERANCE, FrameSelection
from vidmoco.config.limits import DEFAULT_LIMITS, Limits
from vidmoco.cores import num_cores
from vidmoco.features.batch_reader import BatchedVideo, BatchReader
from vidmoco.features.batch_size import default_batch_size
from vidmoco.features.feature_file import Piece
from vidmoco.rendezvous import whole_number
from vidmoco.shapes import Float32, Float64
from vidmoco.video.info import VideoInfo

Pool = Literal["none", "mean", "max"]


@dataclass(frozen=True)
class VideoFeatures:
    """The features of a video, which are yet to be computed."""

    video: VideoInfo
    pieces: Iterator[Piece]
    """Some rows at a time. Raises ``VideoError`` where no frame can be read, or the decoder hangs
    or crashes."""
    row_shape: tuple[int, ...]
    """(D,), or (P, D) of patch tokens."""
    damage: list[str]
    """After the last piece: a line, if damaged frames were left out."""
    ends: list[float]
    """After the last piece, if rows are pooled: when that of each row ends, in seconds."""

    def read(self) -> tuple[Float32[np.ndarray, "t *d"], Float64[np.ndarray, " t"]]:
        """Compute all features, float32 (T, D) or (T, P, D), and the times of their rows.

        Times are float64 (T,) in seconds from the first shown frame; a pooled row has the time at
        which its video or shot begins.

        Raises:
            VideoError: no frame can be read, or the decoder hangs or crashes.
        """
        pieces = list(self.pieces)
        features = [piece.features for piece in pieces] or [np.zeros((0, *self.row_shape))]
        times = [piece.times for piece in pieces] or [np.zeros(0)]
        return np.concatenate(features, dtype=np.float32), np.concatenate(times)


def stream_features(
    frozen: FrozenBackbone,
    videos: Iterable[tuple[VideoInfo, FrameSelection]],
    *,
    pool: Pool = "none",
    normalize: bool = False,
    batch_size: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    workers: int | None = None,
    numbered: bool = False,
) -> Generator[VideoFeatures, None, None]:
    """Yield the videos in order, each with its features; a video's are used before the next.

    While the backbone works on a video, the next ones are decoded, in processes that a video may
    kill.

    Args:
        frozen: the backbone, on its device.
        videos: rows of the catalog, and the frames to take of each. They are asked for as they are
            read.
        pool: ``mean`` or ``max`` gives one row per video, or per shot with ``scenes="all"``.
        normalize: divide each feature by its length, after pooling. A feature of zeros stays.
        batch_size: frames in one pass. The default is 64 on a CPU, and as many as fit on CUDA.
        limits: what a video may be, and what reading it may cost.
        workers: processes that decode, a video each. The default is one per two cores, 4 at most.
        numbered: give the numbers of the frames too. Where frames are read by seeking, the packets
            of the video are read once for them, without decoding.
    """
    reader = BatchReader(
        frozen.preprocess,
        batch_size=batch_size or default_batch_size(frozen),
        limits=limits,
        workers=workers or _num_workers(),
        numbered=numbered,
    )
    selections: list[FrameSelection] = []

    def noted() -> Iterator[tuple[VideoInfo, FrameSelection]]:
        for video, selection in videos:
            selections.append(selection)
            yield video, selection

    with reader, closing(reader.read(noted())) as read:
        for batched in read:
            pieces, ends = _pieces(frozen, batched), list[float]()
            if pool != "none":
                pieces = _pooled(pieces, batched, selections[0], pool, ends)
            if normalize:
                pieces = (
                    piece._replace(features=of_unit_length(piece.features)) for piece in pieces
                )
            yield VideoFeatures(batched.video, pieces, frozen.row_shape, batched.damage, ends)
            del selections[0]


def _num_workers() -> int:
    # assumption: the other half of the cores is for the backbone, and four processes feed a GPU.
    # Those that torchrun has started on this machine share the cores.
    return max(1, min(4, num_cores() // 2 // max(1, whole_number("LOCAL_WORLD_SIZE", default="1"))))


def _pieces(frozen: FrozenBackbone, batched: BatchedVideo) -> Iterator[Piece]:
    for batch, features in features_of(frozen, batched.batches):
        yield Piece(features.numpy(), batch.times, batch.numbers)


def _pooled(
    pieces: Iterator[Piece],
    batched: BatchedVideo,
    selection: FrameSelection,
    pool: Pool,
    ends: list[float],
) -> Iterator[Piece]:
    """Yield a row of each shot that has frames, or of the video, as soon as it is complete."""
    stop = min(batched.video.duration_seconds, math.inf if selection.end is None else selection.end)
    place, pooled, count = 0, np.zeros(0), 0

    def row() -> Piece:
        begin, end = (batched.shots or [(selection.start, stop)])[place]
        ends.append(end)
        features = pooled / count if pool == "mean" else pooled
        return Piece(features[None].astype(np.float32), np.array([begin]), np.array([-1]))

    for features, times, _ in pieces:
        begins = [begin for begin, _ in batched.shots[1:]]  # frames before the first are of it
        places = np.searchsorted(begins, times + TOLERANCE, side="right")
        for current in np.unique(places).tolist():
            rows = features[places == current].astype(np.float64)
            if count and current != place:
                yield row()
                count = 0
            found = rows.sum(axis=0) if pool == "mean" else rows.max(axis=0)
            if not count:
                pooled = found
            else:
                pooled = pooled + found if pool == "mean" else np.maximum(pooled, found)
            place, count = current, count + len(rows)
    if count:
        yield row()


def of_unit_length(features: Float32[np.ndarray, "t *d"]) -> Float32[np.ndarray, "t *d"]:
    """Return features divided by their lengths. A feature of zeros stays."""
    lengths = np.linalg.norm(features.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, np.finfo(np.float64).tiny), dtype=np.float32)
