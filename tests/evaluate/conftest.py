"""Labelled images that several tests share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLOURS = {"blue": (30, 40, 200), "green": (40, 180, 50), "red": (200, 40, 30)}


@pytest.fixture
def make_images(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of noisy one-coloured images, `train/CLASS/n.png` and `val/CLASS/n.png`."""

    def make(*, train: int = 6, val: int = 3, name: str = "images", size: int = 20) -> Path:
        folder = tmp_path / name
        generator = np.random.default_rng(0)
        for split, count in (("train", train), ("val", val)):
            for colour, rgb in COLOURS.items():
                (folder / split / colour).mkdir(parents=True)
                for i in range(count):
                    pixels = generator.normal(rgb, 30, (size, size + 5, 3)).clip(0, 255)
                    image = Image.fromarray(pixels.astype(np.uint8))
                    image.save(folder / split / colour / f"{i}.png")
        return folder

    return make


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets the features of another."""
    monkeypatch.setenv("VIDMOCO_CACHE", str(tmp_path / "cache"))
