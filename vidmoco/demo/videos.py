"""Write the demo's sample videos, labelled images and test clip.

``scene.py`` draws them. Videos show only training instances of the digits. Everything is a function
of the seed, with one generator per video, whatever the number of threads. No other module encodes
video.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from vidmoco.demo.scene import FRAME_SIZE, instances, load_material, render
from vidmoco.errors import ConfigError
from vidmoco.shapes import Float64, UInt8

FPS = 10
NUM_FRAMES = 24

# A generator's key is (seed, one of these, index), so the three functions never share a scene.
_VIDEO, _IMAGE, _CLIP = 0, 1, 2


def make_sample_videos(
    folder: Path, *, num_videos: int, seed: int, progress: Callable[[int], None] | None = None
) -> list[Path]:
    """Write unlabelled videos of training digits: ``00000.mp4`` …, 2.4 s of 64x64 H.264.

    Each instance is shown once before any is shown twice. ``progress`` is called with 1 after each
    video.

    Raises:
        ConfigError: ``num_videos`` is less than 1, or scikit-learn is not installed.
    """
    if num_videos < 1:
        raise ConfigError(f"num_videos is {num_videos}; expected 1 or more.")
    material = load_material()
    order = np.random.default_rng([seed, _VIDEO]).permutation(instances(material, held_out=False))
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:05d}.mp4" for index in range(num_videos)]

    def make(index: int) -> None:
        rng = np.random.default_rng([seed, _VIDEO, index])
        frames = render(
            material, instance=int(order[index % len(order)]), rng=rng, times=_times(NUM_FRAMES)
        )
        _write_video(paths[index], frames)

    # Threads suffice: sampling and encoding release the interpreter's lock.
    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        for _ in pool.map(make, range(num_videos)):
            if progress is not None:
                progress(1)
    return paths


def make_labelled_images(
    folder: Path, *, per_class_train: int, per_class_val: int, seed: int
) -> None:
    """Write ``train/<digit>/*.png`` of training and ``val/<digit>/*.png`` of held-out instances.

    Every image is a 64x64 frame of a scene that no video shows.

    Raises:
        ConfigError: a count is less than 1, or scikit-learn is not installed.
    """
    for name, count in (("per_class_train", per_class_train), ("per_class_val", per_class_val)):
        if count < 1:
            raise ConfigError(f"{name} is {count}; expected 1 or more.")
    material = load_material()
    for split, count in (("train", per_class_train), ("val", per_class_val)):
        held_out = split == "val"
        for digit in range(10):
            rng = np.random.default_rng([seed, _IMAGE, held_out, digit])
            order = rng.permutation(instances(material, held_out=held_out, digit=digit))
            target = folder / split / str(digit)
            target.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                frame = render(
                    material,
                    instance=int(order[index % len(order)]),
                    rng=rng,
                    times=rng.uniform(0, NUM_FRAMES / FPS, size=1),
                )
                Image.fromarray(frame[0]).save(target / f"{index:04d}.png", compress_level=1)


def make_test_clip(path: Path, *, seed: int, num_frames: int = 48) -> int:
    """Write a video of a held-out digit and return the digit.

    Raises:
        ConfigError: ``num_frames`` is less than 1, or scikit-learn is not installed.
    """
    if num_frames < 1:
        raise ConfigError(f"num_frames is {num_frames}; expected 1 or more.")
    material = load_material()
    rng = np.random.default_rng([seed, _CLIP])
    instance = int(rng.choice(instances(material, held_out=True)))
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_video(path, render(material, instance=instance, rng=rng, times=_times(num_frames)))
    return int(material.labels[instance])


def _times(num_frames: int) -> Float64[np.ndarray, " t"]:
    return np.arange(num_frames) / FPS


def _write_video(path: Path, frames: UInt8[np.ndarray, "t h w 3"]) -> None:
    """Encode ``frames`` as H.264 with a keyframe every 8 frames, so that seeks are cheap."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264",
            rate=FPS,
            options={"preset": "ultrafast", "crf": "20", "g": "8", "bf": "0", "threads": "1"},
        )
        stream.width, stream.height, stream.pix_fmt = FRAME_SIZE, FRAME_SIZE, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
