from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vidmoco.backbones.preprocess import Preprocess
from vidmoco.errors import ConfigError
from vidmoco.features import extractor as extractor_module
from vidmoco.features.batch_reader import FrameBatch
from vidmoco.features.extractor import Extractor, default_backbone, features_of, find_batch_size


class Roomy(nn.Module):
    """Means of the channels; notes what it is given, and has room for so many images."""

    def __init__(self, room):
        super().__init__()
        self.room, self.seen = room, []

    def forward(self, images):
        self.seen.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return images.mean(dim=(2, 3))


def extractor_of(room):
    return Extractor(
        backbone=Roomy(room),
        preprocess=Preprocess(
            size=4,
            crop_pct=1.0,
            interpolation="bilinear",
            mean=(0.0, 0.5, 0.0),
            std=(1.0, 0.5, 2.0),
        ),
        dim=3,
        device=torch.device("cpu"),
        precision="fp32",
        provenance={},
    )


@pytest.mark.parametrize(
    ("room", "expected"), [(10**6, 1024), (1280, 1024), (1279, 512), (100, 64), (79, 32), (1, 1)]
)
def test_the_largest_batch_that_fits_with_a_quarter_to_spare(room, expected):
    extractor = extractor_of(room)
    assert find_batch_size(extractor) == expected
    assert extractor.backbone.seen[-1] <= room
    assert extractor.backbone.seen[0] == 1280


def test_the_largest_batch_that_is_tried():
    assert find_batch_size(extractor_of(10**6), largest=16) == 16


def test_no_room_for_one_image():
    with pytest.raises(ConfigError, match=r"one image of 4 x 4 pixels .* memory of cpu.*--size"):
        find_batch_size(extractor_of(0))


def test_other_errors_of_the_backbone_are_not_swallowed():
    class Broken(nn.Module):
        def forward(self, images):
            raise RuntimeError("no such layer")

    with pytest.raises(RuntimeError, match="no such layer"):
        find_batch_size(replace(extractor_of(1), backbone=Broken()))


def test_features_and_times_of_each_batch_in_order_from_memory_that_is_written_over():
    """As the slots are: what a batch holds is valid only until the next one is asked for."""
    memory = torch.empty(2, 3, 4, 4, dtype=torch.uint8)

    def batches():
        for number, length in enumerate([2, 2, 1]):
            memory[:] = 51 * (number + 1)
            yield FrameBatch(np.arange(length) + 10.0 * number, memory[:length])
            memory[:] = 0

    rows = list(features_of(extractor_of(10), batches()))
    assert [times.tolist() for times, _ in rows] == [[0, 1], [10, 11], [20]]
    for number, (times, features) in enumerate(rows):
        grey = 0.2 * (number + 1)
        expected = [grey, (grey - 0.5) / 0.5, grey / 2]
        np.testing.assert_allclose(features, [expected] * len(times), rtol=1e-6, atol=1e-6)
        assert features.dtype == np.float32
    assert list(features_of(extractor_of(10), [])) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_features_of_the_cpu_whatever_it_overlaps():
    memory = torch.empty(64, 3, 32, 32, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)

    def batches():
        generator.manual_seed(0)
        for number in range(20):
            memory[:] = torch.randint(0, 256, memory.shape, generator=generator)
            yield FrameBatch(np.full(64, float(number)), memory)

    small = extractor_of(10**6)
    large = replace(small, preprocess=replace(small.preprocess, size=32))
    on_gpu = replace(large, device=torch.device("cuda"))
    for (_, ours), (_, expected) in zip(
        list(features_of(on_gpu, batches())), list(features_of(large, batches())), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_the_default_backbone_is_the_newest_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_backbone() == extractor_module.DEFAULT_BACKBONE == "resnet50"
    (tmp_path / "run" / "backbone").mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "latest").symlink_to(Path("..") / "run")
    assert default_backbone() == "runs/latest"
