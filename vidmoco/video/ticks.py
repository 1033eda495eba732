"""Times of frames as bytes, for a row of the catalog."""

import zlib

import numpy as np

from vidmoco.shapes import Int64


def packed(ticks: Int64[np.ndarray, " n"]) -> bytes:
    """Return increasing times in a few bytes."""
    return zlib.compress(np.diff(ticks, prepend=0).astype("<i8").tobytes())


def unpacked(data: bytes, number: int) -> list[int]:
    """Return the packed times of so many frames. Of no bytes they are none."""
    if not data:
        return []
    steps = np.frombuffer(zlib.decompressobj().decompress(data, 8 * number), "<i8")
    return np.cumsum(steps).tolist()  # type: ignore[no-any-return]
