"""Labelled images and a backbone for the tests of the monitor."""

import numpy as np
import pytest
import torch
from PIL import Image

from vidmoco.backbones.build import build_backbone

COLOURS = {"blue": (100, 100, 112), "green": (100, 112, 100), "red": (112, 100, 100)}


def write_images(folder, *, spread):
    """Write images of three tints, which differ by ``spread`` within their class too."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 10)):
        for colour, rgb in COLOURS.items():
            (folder / split / colour).mkdir(parents=True)
            for i in range(count):
                tint = generator.normal(rgb, spread)
                pixels = generator.normal(tint, 40, (40, 44, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / colour / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Images whose classes a network tells apart now and then."""
    return write_images(tmp_path_factory.mktemp("labelled") / "images", spread=12)


@pytest.fixture(scope="session")
def clear_images(tmp_path_factory):
    """Images whose classes their mean colour tells apart."""
    return write_images(tmp_path_factory.mktemp("labelled") / "images", spread=0)


@pytest.fixture
def backbone():
    """A network in training, with batch-norm statistics of its own."""
    torch.manual_seed(0)
    network = build_backbone("resnet10t", size=32).to(memory_format=torch.channels_last)
    network.train()(torch.randn(8, 3, 32, 32))
    return network


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    """No test writes to the folder it runs in."""
    monkeypatch.chdir(tmp_path)
