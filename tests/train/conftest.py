"""Videos for trainings; labelled images and a backbone for the tests of the monitor."""

import shutil

import numpy as np
import pytest
import torch
from painted_videos import write_videos
from PIL import Image

from vidmoco.backbones.build import build_backbone
from vidmoco.cli.main import main

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


@pytest.fixture(scope="session")
def scanned(tmp_path_factory):
    """A folder of ``videos``: 16, and a file that is none; and a ``cache`` that has seen them."""
    folder = tmp_path_factory.mktemp("scanned")
    write_videos(folder / "videos", 16)
    (folder / "videos" / "text.mp4").write_text("no video")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDMOCO_CACHE", str(folder / "cache"))
        assert main(["scan", str(folder / "videos")]) == 0
    return folder


@pytest.fixture
def videos(scanned, tmp_path):
    """A folder of videos that a test need not scan."""
    shutil.copytree(scanned / "cache", tmp_path / "cache")
    return scanned / "videos"


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    """No test writes to the folder it runs in."""
    monkeypatch.chdir(tmp_path)
