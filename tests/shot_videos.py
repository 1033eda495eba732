"""Videos of several shots."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from vidmoco.video.info import VideoInfo
from vidmoco.video.probe import probe_video


def scene(seed: int, *, restless: float = 0.0, frames: int = 20) -> Iterator[np.ndarray]:
    """Frames of a picture that drifts, with noise that is new in each."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (9, 16, 3)).repeat(8, 0).repeat(8, 1)
    for number in range(frames):
        noise = rng.normal(0, 255 * restless, picture.shape)
        yield (np.roll(picture, number, 1) + noise).clip(0, 255).astype(np.uint8)


def write_scenes(path: Path, *seeds: int) -> VideoInfo:
    """Write a video of 10 frames a second with a shot of 20 frames per seed; return its row."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 72, "yuv420p"
        for picture in (picture for seed in seeds for picture in scene(seed)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return probe_video(path, root=path.parent)
