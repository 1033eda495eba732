import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform
from torch import nn
from torch.nn import functional as F

from vidmoco.backbones import preprocess as preprocess_module
from vidmoco.backbones.preprocess import (
    Preprocess,
    feature_dim,
    normalize,
    preprocess_of,
    resize_and_crop,
)
from vidmoco.errors import ConfigError

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def preprocess(size=32, crop_pct=0.875, interpolation="bilinear", crop_mode="center"):
    return Preprocess(
        size=size, crop_pct=crop_pct, interpolation=interpolation, crop_mode=crop_mode, **IMAGENET
    )


def picture(height, width, seed=0):
    """A smooth picture with some noise, uint8 (3, H, W)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 5 + c) + np.cos(y / (7 + c)) for c in range(3)])
    noisy = 128 + 50 * waves + generator.normal(0, 10, waves.shape)
    return torch.from_numpy(noisy.clip(0, 255).astype(np.uint8))


class Backbone(nn.Module):
    """Takes one size only; D = 4."""

    def __init__(self, *, takes=32, **pretrained_cfg):
        super().__init__()
        self.takes, self.layer = takes, nn.Linear(3, 4)
        self.pretrained_cfg = {"input_size": (3, takes, takes), **IMAGENET, **pretrained_cfg}

    def forward(self, images):
        assert images.shape[2:] == (self.takes, self.takes), "wrong height"
        return self.layer(images.mean(dim=(2, 3)))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("crop_mode", "crop_pct", "size", "height", "width"),
    [
        ("center", 0.875, 32, 70, 51),
        ("center", 0.875, 64, 47, 90),  # enlarged
        ("center", 0.95, 224, 224, 301),  # 235.79: floor, as timm
        ("center", 1.0, 32, 32, 32),  # nothing to do
        ("center", 1.15, 32, 41, 60),  # smaller than the crop: zeros around
        ("squash", 0.9, 32, 50, 90),
    ],
)
def test_equals_timms_evaluation_transform(interpolation, crop_mode, crop_pct, size, height, width):
    image = picture(height, width)
    transform = create_transform(
        (3, size, size),
        is_training=False,
        interpolation=interpolation,
        crop_pct=crop_pct,
        crop_mode=crop_mode,
        **IMAGENET,
    )
    expected = transform(Image.fromarray(image.permute(1, 2, 0).numpy()))
    settings_ = preprocess(size, crop_pct, interpolation, crop_mode)
    got = normalize(resize_and_crop(image, settings_)[None], settings_)[0]
    # PIL (timm) and torch resize in fixed point, columns first or rows first, and round in between.
    # Measured: bilinear is equal; bicubic differs by 0.006 levels of 255 on average, by 2 at most.
    levels = (got - expected).abs() * 255 * torch.tensor(IMAGENET["std"])[:, None, None]
    assert levels.max() < (2.01 if interpolation == "bicubic" else 1.01)
    assert levels.mean() < 0.05


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.integers(8, 40),
    crop_pct=st.sampled_from([0.8, 0.875, 1.0]),
    squash=st.booleans(),
)
def test_any_image_becomes_square(height, width, size, crop_pct, squash):
    mode = "squash" if squash else "center"
    image = torch.full((3, height, width), 77, dtype=torch.uint8)
    result = resize_and_crop(image, preprocess(size, crop_pct, crop_mode=mode))
    assert result.shape == (3, size, size)
    assert (result == 77).all()  # neither a border nor a shifted filter


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(3000, 1), (1, 2001), (700, 5), (3, 400)])
@pytest.mark.parametrize("crop_pct", [0.875, 1.15])
def test_of_a_line_only_the_middle_is_resized(monkeypatch, height, width, interpolation, crop_pct):
    given = preprocess(size=16, interpolation=interpolation, crop_pct=crop_pct)
    image = picture(height, width)
    monkeypatch.setattr(preprocess_module, "_MOST_ASPECT", 10**9)
    whole = resize_and_crop(image, given)
    monkeypatch.undo()
    sizes, interpolate = [], F.interpolate

    def spy(images, size, **options):
        sizes.append(max(size))
        return interpolate(images, size, **options)

    monkeypatch.setattr(preprocess_module.F, "interpolate", spy)
    found = resize_and_crop(image, given)
    assert max(sizes) <= 2 * 64 * 18
    assert found.shape == (3, 16, 16)
    assert (found.int() - whole.int()).abs().max() <= 1


def test_a_batch_equals_its_images():
    clip = torch.stack([picture(40, 70, seed=i) for i in range(6)])
    together = resize_and_crop(clip.view(2, 3, 3, 40, 70), preprocess())
    assert together.shape == (2, 3, 3, 32, 32)
    apart = torch.stack([resize_and_crop(frame, preprocess()) for frame in clip])
    assert torch.equal(together.view(6, 3, 32, 32), apart)


def test_frames_in_the_order_of_a_decoder_give_the_same():
    clip = torch.stack([picture(40, 70, seed=i) for i in range(3)])
    interleaved = clip.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.equal(
        resize_and_crop(interleaved, preprocess()), resize_and_crop(clip, preprocess())
    )


def test_aspect_ratio_undoes_pixels_that_are_not_square():
    image = picture(120, 160)  # meant to be seen at 16:9, as 213 x 120
    seen = image.repeat_interleave(4, dim=2)[:, :, ::3]  # 640 / 3 = 213.3 columns
    assert seen.shape[2] == 214
    stretched = resize_and_crop(image, preprocess(), aspect_ratio=16 / 9).int()
    expected = resize_and_crop(seen.contiguous(), preprocess()).int()
    assert (stretched - expected).abs().float().mean() < 4
    squeezed = resize_and_crop(image, preprocess()).int()
    assert (squeezed - expected).abs().float().mean() > 8
    upright = resize_and_crop(image.transpose(1, 2), preprocess(), aspect_ratio=9 / 16).int()
    assert (upright - stretched.transpose(1, 2)).abs().max() <= 1


def test_normalize_takes_out_mean_and_std():
    image = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    values = normalize(image, preprocess())[0, :, 0, 0].tolist()
    expected = [-0.485 / 0.229, (1 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    assert all(math.isclose(a, b, rel_tol=1e-5) for a, b in zip(values, expected, strict=True))


def test_preprocess_is_what_the_backbone_states():
    backbone = Backbone(
        crop_pct=0.9, interpolation="bicubic", crop_mode="squash", mean=(0.1, 0.2, 0.3)
    )
    expected = Preprocess(
        size=32,
        crop_pct=0.9,
        interpolation="bicubic",
        crop_mode="squash",
        mean=(0.1, 0.2, 0.3),
        std=IMAGENET["std"],
    )
    assert preprocess_of(backbone) == expected
    assert preprocess_of(backbone, size=48).size == 48
    assert preprocess_of(backbone, crop_mode="center").crop_mode == "center"


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"input_size": (1, 32, 32)}, "1 input channels"),
        ({"input_size": (3, 32, 48)}, "32 x 48 input"),
        ({"interpolation": "lanczos"}, "lanczos interpolation"),
        ({"crop_mode": "border"}, "crop mode 'border'"),
    ],
)
def test_what_cannot_be_done_is_refused(stated, message):
    with pytest.raises(ConfigError, match=message):
        preprocess_of(Backbone(**stated))


def test_feature_dim_of_a_backbone():
    assert feature_dim(Backbone(), preprocess(32), name="b") == 4


def test_a_size_the_backbone_cannot_take_is_named():
    with pytest.raises(
        ConfigError, match=r"b cannot take .* 64 x 64 .* own size is 32: .*wrong height"
    ):
        feature_dim(Backbone(), preprocess(64), name="b")


def test_features_that_are_no_vectors_are_refused():
    backbone = Backbone()
    backbone.forward = lambda images: images
    with pytest.raises(ConfigError, match=r"gives \(1, 3, 32, 32\) for one image"):
        feature_dim(backbone, preprocess(32), name="b")
