import pytest
import timm
import torch

from vidmoco.errors import CheckpointError
from vidmoco.published.architectures import guess_architecture


def weights_of(name, **options):
    return timm.create_model(name, num_classes=0, **options).state_dict()


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "wide_resnet50_2",
        "resnext50_32x4d",
        "resnext101_32x8d",
        "vidmoco_resnet18_32px",
        "vidmoco_resnet50_32px",
    ],
)
def test_resnets_are_known_by_their_shapes(name):
    with torch.device("meta"):
        weights = weights_of(name)
    guess = guess_architecture(weights, layout="torchvision", source="x")
    assert (guess.architecture, guess.size, guess.heads) == (name, 0, 0)


@pytest.mark.parametrize("name", ["resnet26", "resnet10t", "resnet50d", "vidmoco_resnet18_32px"])
def test_unknown_resnets_have_no_name(name):
    weights = weights_of(name)
    if name.startswith("vidmoco"):
        weights["conv1.weight"] = torch.zeros(64, 3, 5, 5)
    if "conv1.weight" not in weights:  # a deep stem
        with pytest.raises(CheckpointError, match="neither a ResNet nor"):
            guess_architecture(weights, layout="torchvision", source="x")
    else:
        assert guess_architecture(weights, layout="torchvision", source="x").architecture == ""


@pytest.mark.parametrize(
    ("name", "options", "size", "heads"),
    [
        ("vit_tiny_patch16_224", {}, 224, 3),
        ("vit_small_patch16_224", {}, 224, 6),
        ("vit_small_patch16_224", {"img_size": 96}, 96, 6),
        ("vit_small_patch8_224", {}, 224, 6),
        ("vit_base_patch32_224", {}, 224, 12),
        ("vidmoco_vit_small_moco_v3", {}, 224, 12),
        ("vidmoco_vit_base_moco_v3", {"img_size": 112}, 112, 12),
    ],
)
def test_transformers_are_known_by_shapes_and_positions(name, options, size, heads):
    weights = weights_of(name, **options)
    if "moco" not in name:
        weights["pos_embed"] = torch.randn_like(weights["pos_embed"])
    guess = guess_architecture(weights, layout="torchvision", source="x")
    assert (guess.architecture, guess.size, guess.heads) == (name, size, heads)


def test_heads_are_left_open_where_nothing_tells():
    weights = weights_of("vit_small_patch16_224")
    assert guess_architecture(weights, layout="solo_learn", source="x").heads == 0
    assert guess_architecture(weights, layout="moco_v3", source="x").heads == 12
    assert guess_architecture(weights, layout="dino", source="x").heads == 6
