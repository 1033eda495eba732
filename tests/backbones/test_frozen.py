from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from freeze import freeze
from torch import nn

from vidmoco.backbones.frozen import features_of, load_frozen
from vidmoco.backbones.preprocess import Preprocess
from vidmoco.errors import ConfigError


class Means(nn.Module):
    """Means of the channels."""

    def __init__(self):
        super().__init__()
        self.register_buffer("zero", torch.zeros(()))

    def forward(self, images):
        return images.mean(dim=(2, 3)) + self.zero


def means(size=4, **options):
    preprocess = Preprocess(
        size=size,
        crop_pct=1.0,
        interpolation="bilinear",
        mean=(0.0, 0.5, 0.0),
        std=(1.0, 0.5, 2.0),
    )
    return freeze(Means(), preprocess, dim=3, **options)


@dataclass
class Batch:
    images: torch.Tensor
    number: int


def test_features_of_each_batch_in_order_from_memory_that_is_written_over():
    """What a batch holds is valid only until the next one is asked for."""
    memory = torch.empty(2, 3, 4, 4, dtype=torch.uint8)

    def batches():
        for number, length in enumerate([2, 2, 1]):
            memory[:] = 51 * (number + 1)
            yield Batch(memory[:length], number)
            memory[:] = 0

    rows = list(features_of(means(), batches()))
    assert [batch.number for batch, _ in rows] == [0, 1, 2]
    for batch, features in rows:
        grey = 0.2 * (batch.number + 1)
        expected = [grey, (grey - 0.5) / 0.5, grey / 2]
        np.testing.assert_allclose(features, [expected] * len(batch.images), rtol=1e-6, atol=1e-6)
        assert features.dtype == torch.float32
    assert list(features_of(means(), [])) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_features_of_the_cpu_whatever_it_overlaps():
    memory = torch.empty(64, 3, 32, 32, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)

    def batches():
        generator.manual_seed(0)
        for number in range(20):
            memory[:] = torch.randint(0, 256, memory.shape, generator=generator)
            yield Batch(memory, number)

    on_gpu = list(features_of(means(32, device="cuda"), batches()))
    on_cpu = list(features_of(means(32), batches()))
    for (_, ours), (_, expected) in zip(on_gpu, on_cpu, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_its_repr_is_a_line_without_the_network():
    shown = repr(load_frozen("random:test_resnet", size=32))
    assert "architecture='test_resnet'" in shown and "\n" not in shown and "Conv2d" not in shown


def test_random_weights_depend_on_the_seed_only():
    state = torch.get_rng_state()
    hashes = [load_frozen("random:test_resnet", seed=seed).weights_hash for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert torch.equal(torch.get_rng_state(), state)


def test_networks_are_of_float32_whatever_the_default():
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    for name in ("random:test_resnet", "random:test_vit"):
        expected = load_frozen(name, size=32)
        torch.set_default_dtype(torch.float64)
        try:
            frozen = load_frozen(name, size=32)
            assert torch.get_default_dtype() == torch.float64
            assert torch.equal(frozen.features(images), expected.features(images))
        finally:
            torch.set_default_dtype(torch.float32)
        assert frozen.weights_hash == expected.weights_hash


def test_bf16_is_near_fp32_and_not_equal():
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    exact = load_frozen("random:test_resnet", size=32)
    rough = replace(exact, precision="bf16").features(images)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(exact.features(images), rough, rtol=0.1, atol=0.02)
    assert not torch.equal(exact.features(images), rough)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "auto"])
def test_it_is_loaded_onto_a_device(device):
    where = load_frozen("random:test_resnet", device=device).device.type
    assert where == ("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")


def test_a_device_that_is_not_here():
    with pytest.raises(ConfigError, match="'meta' is not supported; expected auto, cpu, cuda"):
        load_frozen("random:test_resnet", device=torch.device("meta"))


@pytest.mark.parametrize(
    ("images", "what"),
    [
        (torch.rand(2, 3, 4, 4), r"float32 \(2, 3, 4, 4\)"),
        (torch.zeros(2, 3, 6, 6, dtype=torch.uint8), r"uint8 \(2, 3, 6, 6\)"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), r"uint8 \(2, 4, 4, 3\)"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), r"uint8 \(3, 4, 4\)"),
    ],
)
def test_images_that_would_give_other_features_are_refused(images, what):
    expected = rf"The images are {what}; features\(\) takes uint8 \(N, 3, 4, 4\).*embed\(array"
    with pytest.raises(ConfigError, match=expected):
        means().features(images)


def test_no_images_have_no_features():
    assert means().features(torch.zeros(0, 3, 4, 4, dtype=torch.uint8)).shape == (0, 3)
