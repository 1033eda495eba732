import io
import shutil

import pytest
import torch
from rich.console import Console

from vidmoco.backbones.preprocess import Preprocess
from vidmoco.config.monitor import MonitorConfig
from vidmoco.errors import ConfigError, DataError
from vidmoco.evaluate.features import Features
from vidmoco.train.monitor_backbone import FrozenCopy
from vidmoco.train.monitor_knn import KnnProbe

PREPROCESS = Preprocess(
    size=32, crop_pct=0.875, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
)


class MeanColour(FrozenCopy):
    """Features of an image: its mean colour, less grey."""

    def __init__(self):
        pass

    def features(self, batches):
        colours = torch.cat([batch.images.float().mean(dim=(2, 3)) for batch in batches])
        is_read = torch.cat([batch.is_read for batch in batches])
        rows = torch.cat([batch.rows for batch in batches])
        values = colours - colours.mean(dim=1, keepdim=True)
        return Features(values=values[is_read], rows=rows[is_read], refused=[])


def probe(images, **options):
    log = io.StringIO()
    config = MonitorConfig(images=images, **options)
    cpu = torch.device("cpu")
    return KnnProbe(config, PREPROCESS, device=cpu, console=Console(file=log, width=200)), log


def test_the_neighbours_of_a_colour_are_of_that_colour(clear_images):
    measure, log = probe(clear_images, k=5, batch_size=7)
    assert measure(MeanColour()) == {"knn_top1": 100.0}
    said = "k-NN (k 5) on 36 train and 30 val images of 3 classes; 0.00019 GiB of memory"
    assert said in log.getvalue()
    few, log = probe(clear_images, k=20, max_train_per_class=1)
    assert few(MeanColour())["knn_top1"] == 100.0
    assert "20 is more" not in log.getvalue()
    assert "k is more than the 3 training images, so all of them vote." in log.getvalue()


def test_images_are_read_once_and_random_numbers_are_left_alone(clear_images, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(clear_images, copy)
    state = torch.get_rng_state()
    measure, _ = probe(copy)
    shutil.rmtree(copy)
    assert measure(MeanColour()) == measure(MeanColour()) == {"knn_top1": 100.0}
    assert torch.equal(torch.get_rng_state(), state)


def test_damaged_images_are_left_out_and_said(clear_images, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(clear_images, copy)
    for n in range(3):
        (copy / "train" / "red" / f"{n}.png").write_bytes(b"no image")
    measure, log = probe(copy, k=1)
    assert "3 cannot be read and are left out. The first is train/red/0.png: " in log.getvalue()
    assert measure(MeanColour()) == {"knn_top1": 100.0}
    for path in (copy / "train" / "blue").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"No image of 'blue' in train.* are damaged"):
        probe(copy)


def test_more_memory_than_allowed_is_refused_before_anything_is_read(clear_images):
    with pytest.raises(ConfigError, match=r"36 train and 30 val.*0\.000189 GiB at 32.*max-gib"):
        probe(clear_images, max_gib=1e-4)
    probe(clear_images, max_gib=1e-4, max_train_per_class=1)
