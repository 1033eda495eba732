import pytest
import timm
import torch

from vidmoco.backbones.architectures import Guess, guess_architecture


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
    guess = guess_architecture(weights, layout="moco")
    assert (guess.architecture, guess.size, guess.heads) == (name, 0, 0)
    if name.startswith("vidmoco"):  # another tool pads the same stem otherwise
        assert guess_architecture(weights, layout="solo_learn").architecture == ""


@pytest.mark.parametrize(
    "name", ["resnet26", "resnet10t", "resnet50d", "res2net50_26w_4s", "convnext_atto"]
)
def test_other_networks_have_no_name(name):
    assert guess_architecture(weights_of(name), layout="moco") == Guess("")


def test_shapes_that_are_odd():
    weights = weights_of("vidmoco_resnet18_32px")
    weights["conv1.weight"] = torch.zeros(64, 3, 5, 5)
    assert guess_architecture(weights, layout="moco").architecture == ""
    video = {
        "patch_embed.proj.weight": torch.zeros(8, 3, 2, 4, 4),
        "pos_embed": torch.zeros(1, 5, 8),
    }
    assert guess_architecture(video, layout="torchvision") == Guess("")
    flat = {"conv1.weight": torch.zeros(64, 3, 7, 7), "layer1.0.conv2.weight": torch.zeros(64)}
    assert guess_architecture(flat, layout="torchvision") == Guess("")
    patches = {"patch_embed.proj.weight": torch.zeros(384, 3, 16, 16)}
    for shape in ((1, 0, 384), (1, 1, 384), (1, 5, 100)):
        odd = patches | {"pos_embed": torch.zeros(shape)}
        guess = guess_architecture(odd, layout="torchvision")
        assert (guess.architecture, guess.heads) == ("", 0)
    sparse = patches | {"pos_embed": torch.zeros(1, 5, 384).to_sparse()}
    assert guess_architecture(sparse, layout="torchvision").heads == 0


@pytest.mark.parametrize(
    ("name", "options", "size", "heads"),
    [
        ("vit_tiny_patch16_224", {}, 224, 0),
        ("vit_small_patch16_224", {}, 224, 0),
        ("vit_small_patch16_224", {"img_size": 96}, 96, 0),
        ("vit_small_patch8_224", {}, 224, 0),
        ("vit_base_patch16_224", {}, 224, 12),
        ("vit_base_patch32_224", {}, 224, 12),
        ("vidmoco_vit_small_moco_v3", {}, 224, 12),
        ("vidmoco_vit_base_moco_v3", {"img_size": 112}, 112, 12),
    ],
)
def test_transformers_are_known_by_shapes_and_positions(name, options, size, heads):
    weights = weights_of(name, **options)
    if "moco" not in name:
        weights["pos_embed"] = torch.randn_like(weights["pos_embed"])
    guess = guess_architecture(weights, layout="torchvision")
    assert (guess.architecture, guess.size, guess.heads) == (name, size, heads)


@pytest.mark.parametrize(
    ("name", "layout", "heads"),
    [
        ("vit_small_patch16_224", "solo_learn", 0),
        ("vit_small_patch16_224", "as given", 0),
        ("vit_tiny_patch16_224", "solo_learn", 0),
        ("vit_small_patch16_224", "moco_v3", 12),
        ("vit_small_patch16_224", "dino", 6),
        ("vit_small_patch16_224", "torchvision", 0),
        ("vit_small_patch16_224", "teacher", 0),
        ("vit_tiny_patch16_224", "moco_v3", 0),
        ("vit_base_patch16_224", "moco_v3", 12),
        ("vit_base_patch16_224", "solo_learn", 12),
    ],
)
def test_how_many_heads(name, layout, heads):
    guess = guess_architecture(weights_of(name), layout=layout)
    assert guess.heads == heads
    assert bool(guess.how) == bool(heads)


@pytest.mark.parametrize(
    ("layout", "name"),
    [("moco_v3", "vidmoco_vit_base_moco_v3"), ("dino", "vit_base_patch16_224")],
)
def test_twelve_heads_alone_are_not_moco_v3s(layout, name):
    with torch.device("meta"):
        weights = weights_of("vit_base_patch16_224")
    weights["pos_embed"] = torch.randn(weights["pos_embed"].shape)
    assert guess_architecture(weights, layout=layout).architecture == name
