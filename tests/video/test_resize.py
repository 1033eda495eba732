import numpy as np
import pytest
import torch
from painted_videos import paint, read_index
from PIL import Image

from vidmoco.video.resize import resize_frames


def test_resize_frames():
    images = np.stack([paint(index, size=(96, 64)) for index in (5, 6)])
    resized = resize_frames(images, height=32, width=40)
    assert resized.shape == (2, 3, 32, 40)
    assert resized.dtype == torch.uint8
    assert [read_index(picture.permute(1, 2, 0).numpy()) for picture in resized] == [5, 6]
    same = resize_frames(images, height=64, width=96)
    np.testing.assert_array_equal(same.permute(0, 2, 3, 1).numpy(), images)


def test_resize_frames_anti_aliases():
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::4] = 200  # finer than the small picture: they average out
    resized = resize_frames(stripes, height=16, width=16)
    assert resized[..., 2:-2].float().sub(50).abs().max() <= 3


@pytest.mark.parametrize("size", [(16, 24), (30, 41), (64, 20), (90, 130)])
def test_pixels_are_those_of_pillow_within_one_grey_level(size):
    """Pillow's filters are the reference of anti-aliasing."""
    height, width = size
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    got = resize_frames(image[None], height=height, width=width)[0].permute(1, 2, 0).numpy()
    expected = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    assert np.abs(got.astype(int) - np.asarray(expected).astype(int)).max() <= 1
