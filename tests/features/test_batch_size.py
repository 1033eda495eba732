from dataclasses import replace

import pytest
import torch
from freeze import freeze
from torch import nn

from vidmoco.backbones.preprocess import Preprocess
from vidmoco.errors import ConfigError
from vidmoco.features.batch_size import default_batch_size, find_batch_size


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


def roomy(room, **options):
    preprocess = Preprocess(
        size=4, crop_pct=1.0, interpolation="bilinear", mean=(0.0, 0.5, 0.0), std=(1.0, 0.5, 2.0)
    )
    return freeze(Roomy(room), preprocess, dim=3, **options)


@pytest.mark.parametrize(
    ("room", "expected"), [(10**6, 1024), (1280, 1024), (1279, 512), (100, 64), (79, 32), (1, 1)]
)
def test_the_largest_batch_that_fits_with_a_quarter_to_spare(room, expected):
    frozen = roomy(room)
    assert find_batch_size(frozen) == expected
    assert frozen.backbone.seen[-1] <= room
    assert frozen.backbone.seen[0] == 1280


def test_the_largest_batch_that_is_tried():
    assert find_batch_size(roomy(10**6), largest=16) == 16


def test_no_room_for_one_image():
    with pytest.raises(ConfigError, match=r"one image of 4 x 4 pixels .* memory of cpu.*--size"):
        find_batch_size(roomy(0))


def test_other_errors_of_the_backbone_are_not_swallowed():
    class Broken(nn.Module):
        def forward(self, images):
            raise RuntimeError("no such layer")

    with pytest.raises(RuntimeError, match="no such layer"):
        find_batch_size(replace(roomy(1), backbone=Broken()))


def test_a_cpu_takes_64_untried():
    frozen = roomy(0)
    assert default_batch_size(frozen) == 64
    assert frozen.backbone.seen == []
