import copy

import pytest
import torch
from freeze import freeze

from vidmoco.backbones.build import load_backbone, save_backbone
from vidmoco.backbones.frozen import load_frozen
from vidmoco.backbones.preprocess import preprocess_of
from vidmoco.errors import CheckpointError
from vidmoco.evaluate.features import ImageBatch, compute_features
from vidmoco.methods.heads import build_projector
from vidmoco.methods.normalization import split_batch_norm
from vidmoco.train.monitor_backbone import FrozenCopy

CPU = torch.device("cpu")


def some_images():
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return [
        ImageBatch(rows=torch.arange(6), images=images, is_read=torch.ones(6).bool(), refused=[])
    ]


def features_of_saved(backbone, folder):
    save_backbone(backbone, folder, input_size=32, provenance={})
    frozen = load_frozen(str(folder))
    frozen.move_to(CPU)
    return compute_features(frozen, some_images()), frozen.preprocess


def test_its_features_are_those_of_the_saved_backbone_as_it_trains_on(backbone, tmp_path):
    split_batch_norm(backbone, 2)
    frozen = FrozenCopy(backbone, size=32, device=CPU, precision="fp32")
    with torch.no_grad():
        backbone.train()(torch.randn(8, 3, 32, 32))
        for parameter in backbone.parameters():
            parameter.mul_(1.01)
    expected, preprocess = features_of_saved(backbone, tmp_path / "backbone")
    assert not torch.equal(frozen.features(some_images()).values, expected.values)  # as it was
    frozen.update()
    assert torch.equal(frozen.features(some_images()).values, expected.values)
    assert frozen.preprocess == preprocess
    assert (preprocess.size, preprocess.crop_pct) == (32, 0.875)


def test_with_a_head_its_features_are_those_of_the_head(backbone, tmp_path):
    head = build_projector("mlp", num_features=512, dim=7)
    encoder = split_batch_norm(torch.nn.Sequential(backbone, head), 2)
    frozen = FrozenCopy(backbone, head, size=32, device=CPU, precision="fp32")
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(1.01)
    frozen.update()
    found = frozen.features(some_images()).values
    save_backbone(backbone, tmp_path / "backbone", input_size=32, provenance={})
    both = torch.nn.Sequential(load_backbone(tmp_path / "backbone"), head)
    preprocess = preprocess_of(both[0])
    expected = compute_features(freeze(both, preprocess, dim=7), some_images()).values
    torch.testing.assert_close(found, expected)
    assert head[0].weight.requires_grad


def test_the_backbone_and_the_random_numbers_stay_as_they_are(backbone):
    before = copy.deepcopy(backbone.state_dict())
    state = torch.get_rng_state()
    frozen = FrozenCopy(backbone, size=32, device=CPU, precision="bf16")
    frozen.update()
    frozen.features(some_images())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in backbone.modules())
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    after = backbone.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_precision_is_the_one_asked_for(backbone):
    found = {}
    for precision in ("fp32", "bf16"):
        frozen = FrozenCopy(backbone, size=32, device=CPU, precision=precision)
        found[precision] = frozen.features(some_images()).values
    assert not torch.equal(found["fp32"], found["bf16"])
    torch.testing.assert_close(found["fp32"], found["bf16"], rtol=0.1, atol=0.1)


def test_features_that_are_not_finite_are_said(backbone):
    frozen = FrozenCopy(backbone, size=32, device=CPU, precision="fp32")
    with torch.no_grad():
        next(backbone.parameters()).fill_(float("nan"))
    frozen.update()
    with pytest.raises(CheckpointError, match="of this run gives features that are not finite"):
        frozen.features(some_images())
